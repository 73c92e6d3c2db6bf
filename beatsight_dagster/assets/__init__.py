"""The assets: each reads its config, calls one function of `beatsight_core`, and shows what came of it."""

from typing import TYPE_CHECKING

import dagster as dg

GROUP = "beatsight"
"""The group of all assets. The lineage shows several groups folded, without the states of what they hold."""

OWNERS = ["team:beatsight"]
"""Who answers for the assets."""

if TYPE_CHECKING:
    Materialized = dg.MaterializeResult[None]
    """What an asset returns: its files are written, and no value is handed on."""
else:  # Dagster takes the bare class alone as the annotation of an asset with checks
    Materialized = dg.MaterializeResult

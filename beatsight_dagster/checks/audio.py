"""Checks of `audio_inventory`: the audio is there before hours are spent on it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from beatsight_core.settings import Settings
from beatsight_dagster.checks.specs import check_result, gates_result, manifest_check

if TYPE_CHECKING:
    from beatsight_core.audio.inventory_figures import AudioFigures

SPECS = [
    manifest_check(
        "audio_inventory",
        "missing_rate",
        "Events whose audio is missing, unreadable or too short, in all and per source.",
    ),
    manifest_check(
        "audio_inventory", "roots_mounted", "Each source set has a root that is mounted; one is enough.", blocking=False
    ),
]


SHOWN = ("roots", "by source set", "files that cost events")
"""Metadata of the inventory that its failure shows, too."""


def results(inventory: "AudioFigures", settings: Settings) -> list[dg.AssetCheckResult]:
    """Judge an inventory by the limits that the health report uses, too. A failed check says where it was looked."""
    from beatsight_core.audio.absence import describe_absence, sources_without_root
    from beatsight_core.audio.audio_gates import missing_audio_gates

    missing = gates_result("missing_rate", [gate.to_json() for gate in missing_audio_gates(inventory, settings)])
    absence = describe_absence(inventory, settings, short=True)
    if not missing.passed:
        missing = missing._replace(description=f"{absence} {missing.description}.")
    gone = sources_without_root(inventory)
    said = absence if gone and absence else "each source set has a mounted root"
    return [missing, check_result("roots_mounted", not gone, said)]


def blocks(results: Iterable[dg.AssetCheckResult]) -> bool:
    """Return whether a check that blocks has failed."""
    blocking = {spec.name for spec in SPECS if spec.blocking}
    return any(not result.passed and result.check_name in blocking for result in results)

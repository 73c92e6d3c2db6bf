"""The features that Dagster still calls beta or preview and that this package uses on purpose, and nothing else.

The exact version of Dagster is pinned; the graph's snapshot test and the runs under tests/dagster show them working.
"""

import contextlib
import warnings
from collections.abc import Iterator

import dagster as dg

ACCEPTED = (
    r"Class `MultiToSingleDimensionPartitionMapping`",
    r"Parameter `backfill_policy` of function `asset`",
    r"Specifying a partitions_def on an AssetCheckSpec",
)


@contextlib.contextmanager
def accepted_previews() -> Iterator[None]:
    """Keep Dagster from warning about the features of `ACCEPTED` inside the block."""
    with warnings.catch_warnings():
        for start in ACCEPTED:
            for category in (dg.BetaWarning, dg.PreviewWarning):
                warnings.filterwarnings("ignore", message=start, category=category)
        yield

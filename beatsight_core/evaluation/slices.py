"""Which hits are evaluated: a split, and a stratified, seeded fraction of it."""

import hashlib
import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beatsight_core.errors import DatasetError, UsageError
from beatsight_core.features.cache import Features

SPLITS = ("val", "all", "train", "calibration")
SEED = 1337


def chosen_rows(features: Features, split: str, fraction: float | None = None, seed: int = SEED) -> NDArray[np.int64]:
    """Rows of the cache to evaluate, ascending.

    Args:
        features: The cache.
        split: One of `SPLITS`.
        fraction: Share of the split in (0, 1]; None is all of it.
        seed: Of the choice.

    Raises:
        UsageError: Split or fraction is none.
        DatasetError: The split has no hits.
    """
    if split not in SPLITS:
        raise UsageError(f"There is no split {split!r}", do=f"use one of {', '.join(SPLITS)}")
    if fraction is not None and not 0 < fraction <= 1:
        raise UsageError(f"A fraction of {fraction} cannot be evaluated", do="give a number above 0, at most 1")
    rows = features.rows_of(split)
    if len(rows) == 0:
        raise DatasetError(
            f"The dataset has no hits in split {split}",
            do="evaluate --split all, or change dataset.val_ratio and export",
        )
    if fraction is None or fraction == 1:
        return rows
    return rows[stratified(features.meta[rows].select("hit_id", "source_set", "labels"), fraction, seed)]


def stratified(hits: pl.DataFrame, fraction: float, seed: int = SEED) -> NDArray[np.int64]:
    """A share of hits in which every source set and every set of labels keeps its proportion.

    Hits are ordered by source set, labels and a seeded digest of their id, and taken at even distances. The choice does
    not depend on the order that they come in.

    Args:
        hits: hit_id, source_set, labels.
        fraction: In (0, 1].
        seed: Of the choice.

    Returns:
        Positions, ascending: the whole number next to `fraction` of all, at least one.
    """
    count = max(1, math.floor(len(hits) * fraction + 0.5))
    chance = [hashlib.sha1(f"{seed}:{hit}".encode(), usedforsecurity=False).digest() for hit in hits["hit_id"]]
    keyed = pl.DataFrame(
        {"source": hits["source_set"], "labels": hits["labels"].list.join("+"), "chance": chance}
    ).with_row_index("position")
    order = keyed.sort("source", "labels", "chance")["position"].to_numpy()
    places = ((np.arange(count) + 0.5) * (len(hits) / count)).astype(np.int64)
    return np.sort(order[places].astype(np.int64))

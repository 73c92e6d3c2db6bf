"""The hits that are evaluated: a split, or a stratified, seeded fraction of it."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beatsight_core.errors import DatasetError, UsageError
from beatsight_core.features.cache import Features

SPLITS = ("val", "all", "train", "calibration")
SEED = 1337


@dataclass(frozen=True, slots=True)
class HitSelection:
    """The hits to evaluate a run on.

    Attributes:
        on: Manifest (path or key) other than the one the run learned from; its features must be there.
        split: Split of its hits, one of `SPLITS`.
        fraction: Share of the split, stratified and seeded; None is all of it.
    """

    on: str | Path | None = None
    split: str = "val"
    fraction: float | None = None


OWN_VALIDATION = HitSelection()
"""The whole validation split of the manifest that the run learned from."""


def chosen_rows(features: Features, split: str, fraction: float | None = None, seed: int = SEED) -> NDArray[np.int64]:
    """Return the rows of the cache to evaluate, ascending.

    Args:
        features: Cache of features.
        split: Split, one of `SPLITS`.
        fraction: Share of the split in (0, 1]; None is all of it.
        seed: Seed of the choice.

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
    """Return a share of hits in which every source set and every set of labels keeps its proportion.

    Hits are ordered by source set, labels and a seeded digest of their id, and taken at even distances. The choice does
    not depend on the order that they come in.

    Args:
        hits: Table of hits with hit_id, source_set, labels.
        fraction: Share in (0, 1].
        seed: Seed of the choice.

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

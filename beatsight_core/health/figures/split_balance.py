"""How each class of each source set is shared out between the splits, against the share that validation should have.

Splits are drawn by session, so a class that few sessions hold may fall to one side. A source set whose class is never
validated says nothing of how well that class is heard there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from beatsight_core.taxonomy import Taxonomy

SPLITS = ("train", "val", "calibration")

ENOUGH = 50
"""A class of a source set with so many hits should have some that validate."""


@dataclass(frozen=True, slots=True)
class ClassBalance:
    """Hits of one class of a source set, by split.

    Attributes:
        source: Name of the source set.
        label: Name of the class.
        hits: Hits of all splits.
        train: Hits that train.
        val: Hits that validate.
        calibration: Hits that tune thresholds.
        val_share: Share of the hits that validates.
        deviation: Difference of that share to the one that is set.
    """

    source: str
    label: str
    hits: int
    train: int
    val: int
    calibration: int
    val_share: float
    deviation: float


def balance(labelled: pl.DataFrame, taxonomy: Taxonomy, val_ratio: float) -> tuple[ClassBalance, ...]:
    """Return every class that a source set has, by source set and in class order.

    Args:
        labelled: source_set, label, split, len: a row per class of a set of labels.
        taxonomy: Order of the classes.
        val_ratio: Share of hits that should validate.
    """
    counts = labelled.group_by("source_set", "label", "split").agg(pl.col("len").sum())
    table: dict[tuple[str, str], dict[str, int]] = {}
    for source, label, split, hits in counts.iter_rows():
        table.setdefault((source, label), dict.fromkeys(SPLITS, 0))[split] = int(hits)
    ordered = sorted(table, key=lambda pair: (pair[0], taxonomy.index.get(pair[1], len(taxonomy.index))))
    return tuple(_row(source, label, table[source, label], val_ratio) for source, label in ordered)


def unvalidated(rows: Sequence[ClassBalance]) -> dict[str, list[str]]:
    """Return source set -> its classes with `ENOUGH` hits of which none validates."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.hits >= ENOUGH and not row.val:
            found.setdefault(row.source, []).append(row.label)
    return found


def _row(source: str, label: str, splits: Mapping[str, int], val_ratio: float) -> ClassBalance:
    hits = sum(splits.values())
    share = splits["val"] / hits if hits else 0.0
    return ClassBalance(source, label, hits, **splits, val_share=share, deviation=share - val_ratio)

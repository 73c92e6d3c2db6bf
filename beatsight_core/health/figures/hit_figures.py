"""What the hits of a catalog are: classes by split and source, simultaneous strokes, gaps, sessions, licences."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from beatsight_core.health.figures.event_figures import Histogram, bin_of, by_value, histogram, id_mark, nested, total
from beatsight_core.health.figures.split_balance import SPLITS, ClassBalance, balance
from beatsight_core.taxonomy import Taxonomy

GAP_EDGES_S = (0.0, 0.03, 0.05, 0.08, 0.12, 0.18, 0.28, 0.5, 1.0, 2.0, 5.0, 3600.0)
"""Edges in seconds; the clip's length lies among them, so that overlap with the next hit can be seen."""


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Hits that hold one class, as a comparison with a baseline needs them.

    Attributes:
        hits: Hits of all source sets.
        by_source: Source set -> hits.
    """

    hits: int
    by_source: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ClassFigures(ClassCounts):
    """Hits that hold one class.

    Attributes:
        solo: Hits that hold it alone.
        simultaneous: Hits that hold it with others.
        by_split: Split -> hits.
    """

    solo: int
    simultaneous: int
    by_split: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SplitFigures:
    """One split of a corpus.

    Attributes:
        hits: Hits of the split.
        seconds: Length of their clips.
        sessions: Different sessions.
        groups: Different groups of sessions that are kept together.
    """

    hits: int
    seconds: float
    sessions: int
    groups: int


@dataclass(frozen=True, slots=True)
class OriginCounts:
    """How many different origins the hits of a source set have.

    Attributes:
        sessions: Different sessions.
        files: Different audio files.
        drummers: Different drummers that are named.
        kits: Different kits that are named.
        rooms: Different rooms that are named.
    """

    sessions: int
    files: int
    drummers: int
    kits: int
    rooms: int


@dataclass(frozen=True, slots=True)
class HitCounts:
    """Hits by source set and class, as a comparison with a baseline needs them. Reports of all versions have these.

    Attributes:
        hits: Hits of the corpus.
        hits_by_source: Source set -> hits.
        classes: Class -> hits that hold it.
    """

    hits: int
    hits_by_source: Mapping[str, int]
    classes: Mapping[str, ClassCounts]


@dataclass(frozen=True, slots=True)
class HitFigures(HitCounts):
    """Figures of the hits of a catalog.

    Attributes:
        classes: Class -> hits that hold it, also by split.
        synthetic_hits: Hits that were synthesized.
        negative_hits: Hits without a class.
        simultaneous_hits: Hits with two or more classes.
        simultaneous_rate: Share of those.
        components_per_hit: Number of classes -> hits with so many.
        pairs: Class x class: hits that hold both; on the diagonal hits that hold a class alone.
        splits: Split -> its figures.
        simultaneous_by_source: Source set -> hits with two or more classes.
        seconds_by_source: Source set -> split -> length of clips.
        gaps: Hits by the time to the hit before.
        licences: Source set -> licence -> hits.
        sources: Source set -> different origins of its hits.
        balance: Classes of each source set by split.
        gaps_by_source: Source set -> its hits by the time to the hit before.
    """

    classes: Mapping[str, ClassFigures]
    synthetic_hits: int
    negative_hits: int
    simultaneous_hits: int
    simultaneous_rate: float
    components_per_hit: Mapping[str, int]
    pairs: tuple[tuple[int, ...], ...]
    splits: Mapping[str, SplitFigures]
    simultaneous_by_source: Mapping[str, int]
    seconds_by_source: Mapping[str, Mapping[str, float]]
    gaps: Histogram
    licences: Mapping[str, Mapping[str, int]]
    sources: Mapping[str, OriginCounts]
    balance: tuple[ClassBalance, ...] = ()
    gaps_by_source: Mapping[str, Histogram] = field(default_factory=dict)


def hit_plans(hits: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
    """Return the scans of `hits.parquet`, by name."""
    ids = hits.select("event_ids").explode("event_ids")
    return {
        "sets": hits.group_by("source_set", "split", "is_synthetic", "labels").len(),
        "sessions": hits.group_by(
            "source_set", "session_id", "audio_path", "drummer_id", "kit_id", "room_id", "licence", "split",
            "split_group",
        ).len(),
        "gaps": hits.group_by("source_set", bin=bin_of(pl.col("previous_gap"), GAP_EDGES_S)).len(),
        "hit_event_ids": ids.select(pl.len(), mark=id_mark("event_ids")),
    }  # fmt: skip


def hit_figures(frames: Mapping[str, pl.DataFrame], taxonomy: Taxonomy, clip_s: float, val_ratio: float) -> HitFigures:
    """Return the figures of the hits.

    Args:
        frames: Results of `hit_plans`, by name.
        taxonomy: Classes and their order.
        clip_s: Length of a clip in seconds.
        val_ratio: Share of hits that should validate.
    """
    sets = frames["sets"].with_columns(components=pl.col("labels").list.len())
    labelled = sets.filter(pl.col("components") > 0).explode("labels").rename({"labels": "label"})
    simultaneous = total(sets.filter(pl.col("components") > 1))
    hits = total(sets)
    gaps = frames["gaps"]
    return HitFigures(
        hits=hits,
        hits_by_source=by_value(sets, "source_set"),
        classes=_classes(labelled, taxonomy),
        synthetic_hits=total(sets.filter("is_synthetic")),
        negative_hits=total(sets.filter(pl.col("components") == 0)),
        simultaneous_hits=simultaneous,
        simultaneous_rate=simultaneous / hits if hits else 0.0,
        components_per_hit={str(n): c for n, c in sorted(by_value_of(sets, "components").items())},
        pairs=_pairs(frames["sets"], taxonomy),
        splits=_splits(sets, frames["sessions"], clip_s),
        simultaneous_by_source=by_value(sets.filter(pl.col("components") > 1), "source_set"),
        seconds_by_source={
            source: {split: round(count * clip_s, 3) for split, count in counts.items()}
            for source, counts in nested(sets, "source_set", "split").items()
        },
        gaps=histogram(gaps, GAP_EDGES_S),
        licences=nested(frames["sessions"], "source_set", "licence"),
        sources=_sources(frames["sessions"]),
        balance=balance(labelled, taxonomy, val_ratio),
        gaps_by_source={
            source: histogram(gaps.filter(pl.col("source_set") == source), GAP_EDGES_S)
            for source in gaps["source_set"].unique().sort()
        },
    )


def by_value_of(frame: pl.DataFrame, column: str) -> dict[int, int]:
    """Return number -> sum of `len`."""
    return dict(frame.group_by(column).agg(pl.col("len").sum()).iter_rows())


def _classes(labelled: pl.DataFrame, taxonomy: Taxonomy) -> dict[str, ClassFigures]:
    """Return class -> hits that hold it: in all, alone, with others, by split, by source."""
    alone = by_value(labelled.filter(pl.col("components") == 1), "label")
    every, by_split = by_value(labelled, "label"), nested(labelled, "label", "split")
    by_source = nested(labelled, "label", "source_set")
    return {
        label: ClassFigures(
            hits=every.get(label, 0),
            by_source=by_source.get(label, {}),
            solo=alone.get(label, 0),
            simultaneous=every.get(label, 0) - alone.get(label, 0),
            by_split={split: by_split.get(label, {}).get(split, 0) for split in SPLITS},
        )
        for label in taxonomy.components
    }


def _pairs(sets: pl.DataFrame, taxonomy: Taxonomy) -> tuple[tuple[int, ...], ...]:
    """Return class x class: hits that hold both; the diagonal is a class alone."""
    distinct = sets.group_by("labels").agg(pl.col("len").sum()).with_row_index("set")
    ones = distinct.explode("labels").drop_nulls("labels")
    both = ones.join(ones.select("set", other="labels"), on="set")
    size = distinct.select("set", components=pl.col("labels").list.len())
    both = both.join(size, on="set").filter((pl.col("labels") != pl.col("other")) | (pl.col("components") == 1))
    found = {(a, b): n for a, b, n in both.group_by("labels", "other").agg(pl.col("len").sum()).iter_rows()}
    labels = taxonomy.components
    return tuple(tuple(found.get((row, column), 0) for column in labels) for row in labels)


def _splits(sets: pl.DataFrame, sessions: pl.DataFrame, clip_s: float) -> dict[str, SplitFigures]:
    hits = by_value(sets, "split")
    counted = sessions.group_by("split").agg(pl.col("session_id").n_unique(), pl.col("split_group").n_unique())
    found = {split: (session, group) for split, session, group in counted.iter_rows()}
    return {
        split: SplitFigures(hits.get(split, 0), round(hits.get(split, 0) * clip_s, 3), *found.get(split, (0, 0)))
        for split in SPLITS
    }


def _sources(sessions: pl.DataFrame) -> dict[str, OriginCounts]:
    different = [pl.col(column).drop_nulls().n_unique().alias(name) for name, column in _DIFFERENT.items()]
    rows = sessions.group_by("source_set").agg(different).sort("source_set").iter_rows(named=True)
    return {row.pop("source_set"): OriginCounts(**row) for row in rows}


_DIFFERENT = {
    "sessions": "session_id", "files": "audio_path", "drummers": "drummer_id", "kits": "kit_id", "rooms": "room_id",
}  # fmt: skip

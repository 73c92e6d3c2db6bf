"""What the events of a catalog are: classes, dynamics, openness, context, loudness, techniques.

Every function that scans gives a lazy plan with a small result; nothing here walks over rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from beatsight_core.taxonomy import GROUPS, VELOCITY_BUCKETS, Taxonomy

OPENNESS_BINS = 10
"""Bins of the hi-hat's openness over 0..1."""

LUFS_EDGES = tuple(range(-48, 1, 3))
PEAK_EDGES = tuple(range(-36, 7, 3))
"""Edges in dB; what lies beyond is counted in the outermost bin."""

UNKNOWN = "unknown"
"""Stands for a value that events do not give."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bin.

    Attributes:
        edges: Edges of the bins, one more than there are counts.
        counts: Count of each bin; the outermost take what lies beyond.
        unknown: Count of what has no value.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    unknown: int


@dataclass(frozen=True, slots=True)
class OpennessHistogram(Histogram):
    """Strokes on hi-hats by openness.

    Attributes:
        by_label: Class of hi-hat -> count of each bin.
    """

    by_label: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class GivenLoudness:
    """Loudness of recordings as events give it.

    Attributes:
        lufs: Events by integrated loudness in LUFS.
        peak_dbfs: Events by peak in dBFS.
    """

    lufs: Histogram
    peak_dbfs: Histogram


@dataclass(frozen=True, slots=True)
class EventFigures:
    """Figures of the events of a catalog. Tables lead from a name to a count.

    Attributes:
        events: Number of events.
        synthetic_events: Number of those that were synthesized.
        negative_events: Number of examples of silence and noise.
        events_by_source: Source set -> events.
        synthetic_by_source: Source set -> synthesized events.
        events_by_label: Class -> strokes.
        label_by_source: Class -> source set -> strokes.
        dynamics: Class -> dynamic bucket -> strokes.
        openness: Strokes on hi-hats by openness.
        bleed_level: Level of bleed -> events.
        mix_context: Kind of mix -> events.
        loudness: Loudness of recordings as events give it.
        techniques: Technique -> events.
        techniques_by_source: Technique -> source set -> events.
    """

    events: int
    synthetic_events: int
    negative_events: int
    events_by_source: Mapping[str, int]
    synthetic_by_source: Mapping[str, int]
    events_by_label: Mapping[str, int]
    label_by_source: Mapping[str, Mapping[str, int]]
    dynamics: Mapping[str, Mapping[str, int]]
    openness: OpennessHistogram
    bleed_level: Mapping[str, int]
    mix_context: Mapping[str, int]
    loudness: GivenLoudness
    techniques: Mapping[str, int]
    techniques_by_source: Mapping[str, Mapping[str, int]]


def event_plans(events: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
    """Return the scans of `events.parquet`, by name."""
    components = events.select(
        "source_set", "negative_example", "labels", "openness", bucket="dynamic_buckets"
    ).explode("labels", "openness", "bucket")  # fmt: skip
    openness_bin = (pl.col("openness") * OPENNESS_BINS).floor().clip(0, OPENNESS_BINS - 1).cast(pl.Int64)
    techniques = events.filter(pl.col("techniques").list.len() > 0).select("source_set", "techniques")
    return {
        "events": events.group_by(
            "source_set", "is_synthetic", "negative_example", "bleed_level", "mix_context"
        ).len(),
        "components": components.group_by(
            "source_set", "negative_example", "bucket", label="labels", openness_bin=openness_bin
        ).len(),
        "techniques": techniques.explode("techniques").group_by("source_set", technique="techniques").len(),
        "lufs": events.group_by(bin=bin_of(pl.col("loudness_lufs"), LUFS_EDGES)).len(),
        "peaks": events.group_by(bin=bin_of(pl.col("loudness_peak_dbfs"), PEAK_EDGES)).len(),
        "event_ids": events.select(pl.len(), mark=id_mark("event_id")),
    }  # fmt: skip


def event_figures(frames: Mapping[str, pl.DataFrame], taxonomy: Taxonomy) -> EventFigures:
    """Return the figures of the events.

    Args:
        frames: Results of `event_plans`, by name.
        taxonomy: Classes and their order.
    """
    events, components = frames["events"], frames["components"]
    strokes = components.filter(~pl.col("negative_example"))
    return EventFigures(
        events=total(events),
        synthetic_events=total(events.filter("is_synthetic")),
        negative_events=total(events.filter("negative_example")),
        events_by_source=by_value(events, "source_set"),
        synthetic_by_source=by_value(events.filter("is_synthetic"), "source_set"),
        events_by_label={**dict.fromkeys(taxonomy.components, 0), **by_value(strokes, "label")},
        label_by_source=nested(strokes, "label", "source_set"),
        dynamics=_dynamics(strokes, taxonomy),
        openness=_openness(strokes, taxonomy),
        bleed_level=by_value(events, "bleed_level"),
        mix_context=by_value(events, "mix_context"),
        loudness=GivenLoudness(histogram(frames["lufs"], LUFS_EDGES), histogram(frames["peaks"], PEAK_EDGES)),
        techniques=by_value(frames["techniques"], "technique"),
        techniques_by_source=nested(frames["techniques"], "technique", "source_set"),
    )


def bin_of(value: pl.Expr, edges: tuple[float, ...]) -> pl.Expr:
    """Return the bin of a value among `edges`: outermost bins take what lies beyond, null stays null."""
    return pl.sum_horizontal((value >= edge).cast(pl.Int64) for edge in edges[1:-1]) + 0 * value.cast(
        pl.Int64, strict=False
    )


def histogram(frame: pl.DataFrame, edges: tuple[float, ...]) -> Histogram:
    """Return counts per bin from a frame of (bin, len), and how many had no value."""
    counts = dict(frame.group_by("bin").agg(pl.col("len").sum()).iter_rows())
    unknown = counts.pop(None, 0)
    return Histogram(edges, tuple(counts.get(bin_, 0) for bin_ in range(len(edges) - 1)), unknown)


def id_mark(column: str) -> pl.Expr:
    """Return a figure that two columns share if they hold the same ids, in any order.

    It is the sum of 32 bits of each id's hash.
    """
    return (pl.col(column).hash() & 0xFFFFFFFF).sum()


def total(frame: pl.DataFrame) -> int:
    """Return the sum of `len`."""
    return int(frame["len"].sum())


def by_value(frame: pl.DataFrame, column: str) -> dict[str, int]:
    """Return value -> sum of `len`, largest first; a value that is not given is called unknown."""
    grouped = frame.group_by(pl.col(column).fill_null(UNKNOWN)).agg(pl.col("len").sum())
    return dict(grouped.sort("len", column, descending=[True, False]).iter_rows())


def nested(frame: pl.DataFrame, outer: str, inner: str) -> dict[str, dict[str, int]]:
    """Return outer value -> inner value -> sum of `len`."""
    grouped = frame.group_by(pl.col(outer).fill_null(UNKNOWN), pl.col(inner).fill_null(UNKNOWN)).agg(
        pl.col("len").sum()
    )
    table: dict[str, dict[str, int]] = {}
    for first, second, count in grouped.sort(outer, inner).iter_rows():
        table.setdefault(first, {})[second] = count
    return table


def _dynamics(strokes: pl.DataFrame, taxonomy: Taxonomy) -> dict[str, dict[str, int]]:
    """Return class -> bucket -> strokes; the four known buckets are always there."""
    found = nested(strokes, "label", "bucket")
    empty = dict.fromkeys((*(bucket for bucket, _ in VELOCITY_BUCKETS), UNKNOWN), 0)
    return {label: {**empty, **found.get(label, {})} for label in taxonomy.components}


def _openness(strokes: pl.DataFrame, taxonomy: Taxonomy) -> OpennessHistogram:
    hats = strokes.filter(pl.col("label").str.starts_with(GROUPS["hats"][0])).with_columns(bin="openness_bin")
    edges = tuple(bin_ / OPENNESS_BINS for bin_ in range(OPENNESS_BINS + 1))
    every = histogram(hats, edges)
    by_label = {label: histogram(hats.filter(label=label), edges).counts for label in taxonomy.group("hats")}
    return OpennessHistogram(every.edges, every.counts, every.unknown, by_label)

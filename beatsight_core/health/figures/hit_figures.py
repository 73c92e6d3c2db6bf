"""What the hits of a catalog are: classes by split and source, simultaneous strokes, gaps, sessions, licences."""

from typing import Any

import polars as pl

from beatsight_core.health.figures.event_figures import bin_of, by_value, histogram, id_mark, nested, total
from beatsight_core.health.figures.split_balance import SPLITS, balance
from beatsight_core.taxonomy import Taxonomy

GAP_EDGES_S = (0.0, 0.03, 0.05, 0.08, 0.12, 0.18, 0.28, 0.5, 1.0, 2.0, 5.0, 3600.0)
"""Edges in seconds; the clip's length lies among them, so that overlap with the next hit can be seen."""


def hit_plans(hits: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
    """The scans of `hits.parquet`, by name."""
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


def hit_figures(frames: dict[str, pl.DataFrame], taxonomy: Taxonomy, clip_s: float, val_ratio: float) -> dict[str, Any]:
    """The results of `hit_plans` as JSON-safe figures.

    Args:
        frames: Name -> collected plan.
        taxonomy: Gives the classes and their order.
        clip_s: Length of a clip in seconds.
        val_ratio: The share of hits that should validate.
    """
    sets = frames["sets"].with_columns(components=pl.col("labels").list.len())
    labelled = sets.filter(pl.col("components") > 0).explode("labels").rename({"labels": "label"})
    simultaneous = total(sets.filter(pl.col("components") > 1))
    hits = total(sets)
    return {
        "hits": hits,
        "synthetic_hits": total(sets.filter("is_synthetic")),
        "negative_hits": total(sets.filter(pl.col("components") == 0)),
        "simultaneous_hits": simultaneous,
        "simultaneous_rate": simultaneous / hits if hits else 0.0,
        "components_per_hit": {str(n): c for n, c in sorted(by_value_of(sets, "components").items())},
        "classes": _classes(labelled, taxonomy),
        "pairs": _pairs(frames["sets"], taxonomy),
        "splits": _splits(sets, frames["sessions"], clip_s),
        "hits_by_source": by_value(sets, "source_set"),
        "simultaneous_by_source": by_value(sets.filter(pl.col("components") > 1), "source_set"),
        "seconds_by_source": {
            source: {split: round(count * clip_s, 3) for split, count in counts.items()}
            for source, counts in nested(sets, "source_set", "split").items()
        },
        "balance": balance(labelled, taxonomy, val_ratio),
        "gaps": histogram(frames["gaps"], GAP_EDGES_S),
        "gaps_by_source": {
            source: histogram(frames["gaps"].filter(pl.col("source_set") == source), GAP_EDGES_S)
            for source in frames["gaps"]["source_set"].unique().sort()
        },
        "licences": nested(frames["sessions"], "source_set", "licence"),
        "sources": _sources(frames["sessions"]),
    }


def by_value_of(frame: pl.DataFrame, column: str) -> dict[int, int]:
    """Number -> sum of `len`."""
    return dict(frame.group_by(column).agg(pl.col("len").sum()).iter_rows())


def _classes(labelled: pl.DataFrame, taxonomy: Taxonomy) -> dict[str, dict[str, Any]]:
    """Class -> hits that hold it: in all, alone, with others, by split, by source."""
    alone = by_value(labelled.filter(pl.col("components") == 1), "label")
    every, by_split = by_value(labelled, "label"), nested(labelled, "label", "split")
    by_source = nested(labelled, "label", "source_set")
    return {
        label: {
            "hits": every.get(label, 0),
            "solo": alone.get(label, 0),
            "simultaneous": every.get(label, 0) - alone.get(label, 0),
            "by_split": {split: by_split.get(label, {}).get(split, 0) for split in SPLITS},
            "by_source": by_source.get(label, {}),
        }
        for label in taxonomy.components
    }


def _pairs(sets: pl.DataFrame, taxonomy: Taxonomy) -> list[list[int]]:
    """Class x class: hits that hold both; the diagonal is a class alone."""
    distinct = sets.group_by("labels").agg(pl.col("len").sum()).with_row_index("set")
    ones = distinct.explode("labels").drop_nulls("labels")
    both = ones.join(ones.select("set", other="labels"), on="set")
    size = distinct.select("set", components=pl.col("labels").list.len())
    both = both.join(size, on="set").filter((pl.col("labels") != pl.col("other")) | (pl.col("components") == 1))
    found = {(a, b): n for a, b, n in both.group_by("labels", "other").agg(pl.col("len").sum()).iter_rows()}
    return [[found.get((row, column), 0) for column in taxonomy.components] for row in taxonomy.components]


def _splits(sets: pl.DataFrame, sessions: pl.DataFrame, clip_s: float) -> dict[str, dict[str, Any]]:
    hits = by_value(sets, "split")
    counted = sessions.group_by("split").agg(pl.col("session_id").n_unique(), pl.col("split_group").n_unique())
    found = {split: (session, group) for split, session, group in counted.iter_rows()}
    return {
        split: {
            "hits": hits.get(split, 0),
            "seconds": round(hits.get(split, 0) * clip_s, 3),
            "sessions": found.get(split, (0, 0))[0],
            "groups": found.get(split, (0, 0))[1],
        }
        for split in SPLITS
    }


def _sources(sessions: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Source set -> how many different sessions, files, drummers, kits and rooms its hits come from."""
    different = [pl.col(column).drop_nulls().n_unique().alias(name) for name, column in _DIFFERENT.items()]
    rows = sessions.group_by("source_set").agg(different).sort("source_set").iter_rows(named=True)
    return {row.pop("source_set"): row for row in rows}


_DIFFERENT = {
    "sessions": "session_id", "files": "audio_path", "drummers": "drummer_id", "kits": "kit_id", "rooms": "room_id",
}  # fmt: skip

"""The same scores by where a hit comes from: source set, drummer, kit, loudness, components, room to its neighbours."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import MIN_POSITIVES, f1_score, finite_or_none, mean_or_none, ratio
from beatsight_core.taxonomy import VELOCITY_BUCKETS

MOST_GROUPS = 40
"""Groups of one kind that are kept, largest first."""

GAPS_S = (0.06, 0.125, 0.25, 0.5)
"""Where gaps to a neighbouring hit are parted: 16ths at 250, 120, 60 and 30 to the minute; below, flams and rolls."""

GAP_BUCKETS = ("< 60 ms", "60 to 125 ms", "125 to 250 ms", "250 to 500 ms", "from 500 ms", "none in the file")

_ORDERS = {
    "velocity": tuple(name for name, _ in VELOCITY_BUCKETS), "gap_before": GAP_BUCKETS, "gap_after": GAP_BUCKETS,
}  # fmt: skip
"""Kinds whose groups have an order of their own; those of the others come largest first."""


def breakdown(predictions: Predictions) -> dict[str, list[dict[str, Any]]]:
    """Scores per group.

    Args:
        predictions: Their `hits` also have drummer_id, kit_id, velocities, previous_gap, next_gap.

    Returns:
        {kind: rows of value, hits, sessions, accuracy, exact_match, macro_f1}; kinds: source_set, components
        ("1", "2", …), velocity (the loudest component's bucket, softest first), gap_before and gap_after (to the
        neighbouring hit of the file, one of `GAP_BUCKETS`, in that order), and drummer and kit where they are known.
    """
    hits = predictions.hits
    kinds = {
        "source_set": hits["source_set"].cast(pl.String),
        "components": pl.Series([str(count) for count in predictions.struck.sum(axis=1)], dtype=pl.String),
        "velocity": _velocity_buckets(hits["velocities"]),
        "gap_before": _gap_buckets(hits["previous_gap"]),
        "gap_after": _gap_buckets(hits["next_gap"]),
        "drummer": hits["drummer_id"].cast(pl.String),
        "kit": hits["kit_id"].cast(pl.String),
    }
    said, struck = predictions.said, predictions.struck
    sessions = hits["session_id"].rank("dense").to_numpy()
    found = {
        kind: _groups(said, struck, sessions, values)
        for kind, values in kinds.items()
        if values.null_count() < len(values) or kind == "source_set"
    }
    for kind, order in _ORDERS.items():
        found[kind] = sorted(found.get(kind, []), key=lambda row: order.index(row["value"]))
    return {kind: rows for kind, rows in found.items() if rows}


def _gap_buckets(gaps: pl.Series) -> pl.Series:
    """The bucket of each gap in seconds; the first and the last hit of a file lack a neighbour."""
    place = np.searchsorted(GAPS_S, gaps.fill_null(0.0).to_numpy(), side="right")
    names = np.array(GAP_BUCKETS)[np.where(gaps.is_null().to_numpy(), len(GAPS_S) + 1, place)]
    return pl.Series(names.tolist(), dtype=pl.String)


def _velocity_buckets(velocities: pl.Series) -> pl.Series:
    """The bucket of each hit's loudest component; null where no velocity is known."""
    names, uppers = zip(*VELOCITY_BUCKETS, strict=True)
    loudest = velocities.list.max().cast(pl.Float32).fill_nan(None)
    # In the precision that shards hold: there a velocity of 0.8 lies a hair above the 0.8 of a double.
    edges = np.array(uppers[:-1], dtype=np.float32)
    place = np.searchsorted(edges, loudest.fill_null(0.0).to_numpy(), side="left")
    return pl.DataFrame({"bucket": [names[index] for index in place], "known": loudest.is_not_null()}).select(
        pl.when("known").then("bucket")
    )["bucket"]


def _groups(
    said: NDArray[np.bool_], struck: NDArray[np.bool_], sessions: NDArray[Any], values: pl.Series
) -> list[dict[str, Any]]:
    table = pl.DataFrame({"value": values}).with_row_index("row").drop_nulls("value")
    grouped = table.group_by("value").agg("row").with_columns(hits=pl.col("row").list.len())
    kept = grouped.sort(["hits", "value"], descending=[True, False]).head(MOST_GROUPS)
    rows = []
    for value, members, hits in kept.select("value", "row", "hits").iter_rows():
        chosen = np.asarray(members)
        rows.append(
            {
                "value": value,
                "hits": hits,
                "sessions": len(np.unique(sessions[chosen])),
                **_scores(said[chosen], struck[chosen]),
            }
        )
    return rows


def _scores(said: NDArray[np.bool_], struck: NDArray[np.bool_]) -> dict[str, float | None]:
    true, false, missed = ((said & struck).sum(0), (said & ~struck).sum(0), (struck & ~said).sum(0))
    enough = true + missed >= MIN_POSITIVES
    return {
        "accuracy": finite_or_none(float(f1_score(true.sum(), false.sum(), missed.sum()))),
        "exact_match": ratio(float((said == struck).all(axis=1).sum()), len(said)),
        "macro_f1": mean_or_none([finite_or_none(value) for value in f1_score(true, false, missed)[enough]]),
    }

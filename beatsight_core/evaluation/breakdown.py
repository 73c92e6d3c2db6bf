"""Scores by where a hit comes from: source set, drummer, kit, loudness, components, room to its neighbours."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beatsight_core.evaluation.bootstrap import codes
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import f1_score, finite_or_none, mean_or_none, ratio
from beatsight_core.taxonomy import MIN_POSITIVES, VELOCITY_BUCKETS

MOST_GROUPS = 40
"""Groups of one kind that are kept, largest first."""

GAPS_S = (0.06, 0.125, 0.25, 0.5)
"""Where gaps to a neighbouring hit are parted: 16ths at 250, 120, 60 and 30 to the minute; below, flams and rolls."""

GAP_BUCKETS = ("< 60 ms", "60 to 125 ms", "125 to 250 ms", "250 to 500 ms", "from 500 ms", "none in the file")

_ORDERS = {
    "velocity": tuple(name for name, _ in VELOCITY_BUCKETS), "gap_before": GAP_BUCKETS, "gap_after": GAP_BUCKETS,
}  # fmt: skip
"""Kinds whose groups have an order of their own; those of the others come largest first."""


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of the hits of one group.

    Attributes:
        value: Name of the group within its kind.
        hits: Number of its hits.
        sessions: Number of sessions that they are from.
        accuracy: Micro-F1 over components.
        exact_match: Share of hits whose predicted set is the reference set.
        macro_f1: Mean F1 of the components with enough hits.
    """

    value: str
    hits: int
    sessions: int
    accuracy: float | None
    exact_match: float | None
    macro_f1: float | None


def breakdown(predictions: Predictions) -> dict[str, list[GroupScores]]:
    """Return scores per group.

    Args:
        predictions: Predictions whose `hits` also have drummer_id, kit_id, velocities, previous_gap, next_gap.

    Returns:
        {kind: groups}; kinds: source_set, components
        ("1", "2", …), velocity (the loudest component's bucket, softest first), gap_before and gap_after (to the
        neighbouring hit of the file, one of `GAP_BUCKETS`, in that order), and drummer and kit where they are known.
    """
    hits = predictions.hits
    kinds = {
        "source_set": hits["source_set"].cast(pl.String),
        "components": pl.Series([str(count) for count in predictions.reference.sum(axis=1)], dtype=pl.String),
        "velocity": _velocity_buckets(hits["velocities"]),
        "gap_before": _gap_buckets(hits["previous_gap"]),
        "gap_after": _gap_buckets(hits["next_gap"]),
        "drummer": hits["drummer_id"].cast(pl.String),
        "kit": hits["kit_id"].cast(pl.String),
    }
    predicted, reference = predictions.predicted, predictions.reference
    sessions = codes(hits["session_id"])
    found = {
        kind: _groups(predicted, reference, sessions, values)
        for kind, values in kinds.items()
        if values.null_count() < len(values) or kind == "source_set"
    }
    for kind, order in _ORDERS.items():
        found[kind] = sorted(found.get(kind, []), key=lambda row: order.index(row.value))
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
    predicted: NDArray[np.bool_], reference: NDArray[np.bool_], sessions: NDArray[np.intp], values: pl.Series
) -> list[GroupScores]:
    table = pl.DataFrame({"value": values}).with_row_index("row").drop_nulls("value")
    grouped = table.group_by("value").agg("row").with_columns(hits=pl.col("row").list.len())
    kept = grouped.sort(["hits", "value"], descending=[True, False]).head(MOST_GROUPS)
    rows = []
    for value, members in kept.select("value", "row").iter_rows():
        chosen = np.asarray(members)
        rows.append(_scores(value, predicted[chosen], reference[chosen], len(np.unique(sessions[chosen]))))
    return rows


def _scores(value: str, predicted: NDArray[np.bool_], reference: NDArray[np.bool_], sessions: int) -> GroupScores:
    true, false, missed = (
        counts.sum(axis=0) for counts in (predicted & reference, predicted & ~reference, reference & ~predicted)
    )
    enough = true + missed >= MIN_POSITIVES
    return GroupScores(
        value=value,
        hits=len(predicted),
        sessions=sessions,
        accuracy=finite_or_none(float(f1_score(true.sum(), false.sum(), missed.sum()))),
        exact_match=ratio(float((predicted == reference).all(axis=1).sum()), len(predicted)),
        macro_f1=mean_or_none([finite_or_none(value) for value in f1_score(true, false, missed)[enough]]),
    )

"""Intervals of scores, by resampling sessions with a seed.

Hits of one session are alike, so whole sessions are drawn, with replacement, as many per source set as there are (the
percentile bootstrap of Efron, clustered and stratified). Scores are sums over sessions, so all resamples together are
one product of a (resamples, sessions) matrix of counts with the sessions' sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from beatsight_core.evaluation.bootstrap_ap import average_precisions
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import f1_score, finite_or_none, hit_cross_entropy, top1_in_reference
from beatsight_core.taxonomy import MIN_POSITIVES

RESAMPLES = 500
SEED = 1337
CONFIDENCE = 0.95

SCORES = ("accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap", "loss")
CLASS_SCORES = ("f1", "precision", "recall", "ap")


@dataclass(frozen=True, slots=True)
class SessionSums:
    """Sums per session, enough for every score that is resampled; S sessions, C components.

    Attributes:
        true: Counts of right predictions, (S, C).
        false: Counts of wrong predictions, (S, C).
        missed: Counts of reference components without a prediction, (S, C).
        exact: Counts of hits whose predicted set equals the reference set, (S,).
        top1: Counts of hits whose most probable component is in the reference, (S,).
        labelled: Counts of hits with a label, (S,).
        loss: Binary cross-entropy, summed over hits and components, (S,).
        hits: Counts of hits, (S,).
        strata: Number of the source set that the session belongs to, (S,).
    """

    true: NDArray[np.float64]
    false: NDArray[np.float64]
    missed: NDArray[np.float64]
    exact: NDArray[np.float64]
    top1: NDArray[np.float64]
    labelled: NDArray[np.float64]
    loss: NDArray[np.float64]
    hits: NDArray[np.float64]
    strata: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Interval:
    """A score and its 95 % interval.

    Attributes:
        value: Score; None where it is undefined.
        low: Lower end; None with fewer than two sessions, as there is nothing to resample.
        high: Upper end; None likewise.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Intervals:
    """The 95 % intervals of every score.

    Attributes:
        sessions: Number of sessions.
        resamples: Number of resamples.
        seed: Seed of the resamples.
        confidence: Share of resamples that lie within an interval.
        accuracy: Interval of the accuracy; the other scores of `SCORES` follow.
        exact_match: Interval of the exact match.
        top1_in_set: Interval of the share of hits whose most probable component is in the reference.
        macro_f1: Interval of the mean F1.
        macro_ap: Interval of the mean average precision.
        loss: Interval of the loss.
        f1: Label -> interval of its F1; the other scores of `CLASS_SCORES` follow.
        precision: Label -> interval of its precision.
        recall: Label -> interval of its recall.
        ap: Label -> interval of its average precision.
    """

    sessions: int
    resamples: int
    seed: int
    confidence: float
    accuracy: Interval = Interval()
    exact_match: Interval = Interval()
    top1_in_set: Interval = Interval()
    macro_f1: Interval = Interval()
    macro_ap: Interval = Interval()
    loss: Interval = Interval()
    f1: Mapping[str, Interval] = field(default_factory=dict)
    precision: Mapping[str, Interval] = field(default_factory=dict)
    recall: Mapping[str, Interval] = field(default_factory=dict)
    ap: Mapping[str, Interval] = field(default_factory=dict)


def sum_by_session(predictions: Predictions) -> SessionSums:
    """Sum predictions by session, sessions in the order of their names."""
    session = codes(predictions.hits["session_id"])
    count = int(session.max(initial=-1)) + 1
    predicted, reference = predictions.predicted, predictions.reference
    strata = np.zeros(count, dtype=np.intp)
    strata[session] = codes(predictions.hits["source_set"])

    def by_session(values: ArrayLike) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.bincount(session, values, count).astype(np.float64, copy=False)
        return total

    def by_session_and_class(values: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.stack([by_session(values[:, column]) for column in range(values.shape[1])], axis=1)

    return SessionSums(
        true=by_session_and_class(predicted & reference),
        false=by_session_and_class(predicted & ~reference),
        missed=by_session_and_class(reference & ~predicted),
        exact=by_session((predicted == reference).all(axis=1)),
        top1=by_session(top1_in_reference(predictions.probabilities, reference)),
        labelled=by_session(reference.any(axis=1)),
        loss=by_session(hit_cross_entropy(predictions.probabilities, reference)),
        hits=by_session(np.ones(len(predictions), dtype=bool)),
        strata=strata,
    )


def resample(strata: ArrayLike, resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.float64]:
    """Return how often each session is drawn in each resample: (resamples, S); rows of a stratum sum to its size."""
    strata = np.asarray(strata)
    generator = np.random.default_rng(seed)
    drawn = np.zeros((resamples, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    return drawn


def scores(
    sums: SessionSums, drawn: NDArray[np.float64], averaged: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each resample.

    Args:
        sums: Sums per session.
        drawn: Counts of how often each session is drawn, (B, S).
        averaged: Components that enter the macro average, (C,).

    Returns:
        `accuracy`, `exact_match`, `top1_in_set`, `macro_f1`, `loss`: (B,); `f1`, `precision`, `recall`: (B, C). NaN
        where undefined.
    """
    true, false, missed = (drawn @ part for part in (sums.true, sums.false, sums.missed))
    f1 = f1_score(true, false, missed)
    hits = drawn @ sums.hits
    return {
        "accuracy": f1_score(true.sum(axis=1), false.sum(axis=1), missed.sum(axis=1)),
        "exact_match": _share(drawn @ sums.exact, hits),
        "top1_in_set": _share(drawn @ sums.top1, drawn @ sums.labelled),
        "macro_f1": mean_of_defined(f1[:, averaged]),
        "loss": _share(drawn @ sums.loss, hits * sums.true.shape[1]),
        "f1": f1,
        "precision": _share(true, true + false),
        "recall": _share(true, true + missed),
    }


def bootstrap_intervals(
    predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = SEED, min_positives: int = MIN_POSITIVES
) -> Intervals:
    """Return the 95 % intervals of every score."""
    sums = sum_by_session(predictions)
    averaged = predictions.reference.sum(axis=0) >= max(min_positives, 1)
    whole, drawn = (
        sampled_scores(predictions, sums, times, averaged)
        for times in (np.ones((1, len(sums.hits))), resample(sums.strata, resamples, seed))
    )
    enough = len(sums.hits) > 1

    def interval(name: str, column: int | None = None) -> Interval:
        place = (slice(None),) if column is None else (slice(None), column)
        low, high = percentiles(drawn[name][place]) if enough else (None, None)
        return Interval(finite_or_none(float(whole[name][place][0])), low, high)

    def by_label(name: str) -> dict[str, Interval]:
        return {label: interval(name, column) for column, label in enumerate(predictions.classes)}

    return Intervals(
        sessions=len(sums.hits),
        resamples=resamples,
        seed=seed,
        confidence=CONFIDENCE,
        accuracy=interval("accuracy"),
        exact_match=interval("exact_match"),
        top1_in_set=interval("top1_in_set"),
        macro_f1=interval("macro_f1"),
        macro_ap=interval("macro_ap"),
        loss=interval("loss"),
        f1=by_label("f1"),
        precision=by_label("precision"),
        recall=by_label("recall"),
        ap=by_label("ap"),
    )


def sampled_scores(
    predictions: Predictions, sums: SessionSums, drawn: NDArray[np.float64], averaged: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Return `scores`, with average precision: `macro_ap` (B,) and `ap` (B, C)."""
    ap = average_precisions(predictions, codes(predictions.hits["session_id"]), drawn)
    return {**scores(sums, drawn, averaged), "ap": ap, "macro_ap": mean_of_defined(ap[:, averaged])}


def percentiles(sample: Sequence[float] | NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return the two ends of the middle 95 % of a resampled score; None where it was never defined."""
    sample = np.asarray(sample)
    defined = sample[np.isfinite(sample)]
    if len(defined) == 0:
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def codes(names: pl.Series) -> NDArray[np.intp]:
    """Return the place of each name among the sorted distinct names."""
    return (names.rank("dense").to_numpy().astype(np.intp)) - 1


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """`part / whole`, NaN where there is nothing."""
    share: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return share


def mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each row's numbers, NaN for a row without any."""
    defined = np.isfinite(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0.0).sum(axis=1)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean

"""How sure a score is: intervals by resampling sessions, with a seed.

Hits of one session are alike, so whole sessions are drawn, with replacement, as many per source set as there are (the
percentile bootstrap of Efron, clustered and stratified). Scores are sums over sessions, so all resamples together are
one product of a (resamples, sessions) matrix of counts with the sessions' sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from beatsight_core.evaluation.bootstrap_ap import average_precisions
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import (
    MIN_POSITIVES,
    f1_score,
    finite_or_none,
    hit_cross_entropy,
    surest_was_struck,
)

RESAMPLES = 500
SEED = 1337
CONFIDENCE = 0.95

SCORES = ("accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap", "loss")
CLASS_SCORES = ("f1", "precision", "recall", "ap")


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums per session, enough for every score that is resampled; S sessions, C components.

    Attributes:
        true: (S, C) components struck and said.
        false: (S, C) components said and not struck.
        missed: (S, C) components struck and not said.
        exact: (S,) hits whose said set equals the struck set.
        top1: (S,) hits whose surest component was struck.
        labelled: (S,) hits with a label.
        loss: (S,) binary cross-entropy, summed over hits and components.
        hits: (S,) hits.
        strata: (S,) number of the source set that the session belongs to.
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


def tally(predictions: Predictions) -> Tally:
    """Sum predictions by session, sessions in the order of their names."""
    session = codes(predictions.hits["session_id"])
    count = int(session.max(initial=-1)) + 1
    said, struck = predictions.said, predictions.struck
    strata = np.zeros(count, dtype=np.intp)
    strata[session] = codes(predictions.hits["source_set"])

    def by_session(values: ArrayLike) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.bincount(session, values, count).astype(np.float64, copy=False)
        return total

    def by_session_and_class(values: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.stack([by_session(values[:, column]) for column in range(values.shape[1])], axis=1)

    return Tally(
        true=by_session_and_class(said & struck),
        false=by_session_and_class(said & ~struck),
        missed=by_session_and_class(struck & ~said),
        exact=by_session((said == struck).all(axis=1)),
        top1=by_session(surest_was_struck(predictions.probabilities, struck)),
        labelled=by_session(struck.any(axis=1)),
        loss=by_session(hit_cross_entropy(predictions.probabilities, struck)),
        hits=by_session(np.ones(len(predictions), dtype=bool)),
        strata=strata,
    )


def resample(strata: ArrayLike, resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.float64]:
    """How often each session is drawn in each resample: (resamples, S); rows of a stratum sum to its size."""
    strata = np.asarray(strata)
    generator = np.random.default_rng(seed)
    drawn = np.zeros((resamples, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), resamples)
    return drawn


def scores(sums: Tally, drawn: NDArray[np.float64], averaged: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """The scores of each resample.

    Args:
        sums: Per session.
        drawn: (B, S) how often each session is drawn.
        averaged: (C,) which components enter the macro average.

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
) -> dict[str, Any]:
    """95 % intervals of every score.

    Returns:
        JSON-safe: `sessions`, `resamples`, `seed`, `confidence`, and per score of `SCORES` `{value, low, high}`; under
        each of `CLASS_SCORES` one such per label. With fewer than two sessions there is nothing to resample, and low
        and high are None.
    """
    sums = tally(predictions)
    averaged = predictions.struck.sum(axis=0) >= max(min_positives, 1)
    whole, drawn = (
        sampled_scores(predictions, sums, times, averaged)
        for times in (np.ones((1, len(sums.hits))), resample(sums.strata, resamples, seed))
    )
    enough = len(sums.hits) > 1

    def interval(name: str, column: int | None = None) -> dict[str, float | None]:
        place = (slice(None),) if column is None else (slice(None), column)
        low, high = percentiles(drawn[name][place]) if enough else (None, None)
        return {"value": finite_or_none(float(whole[name][place][0])), "low": low, "high": high}

    return {
        "sessions": len(sums.hits),
        "resamples": resamples,
        "seed": seed,
        "confidence": CONFIDENCE,
        **{name: interval(name) for name in SCORES},
        **{
            name: {label: interval(name, column) for column, label in enumerate(predictions.classes)}
            for name in CLASS_SCORES
        },
    }


def sampled_scores(
    predictions: Predictions, sums: Tally, drawn: NDArray[np.float64], averaged: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """`scores`, with average precision: `macro_ap` (B,) and `ap` (B, C)."""
    ap = average_precisions(predictions, codes(predictions.hits["session_id"]), drawn)
    return {**scores(sums, drawn, averaged), "ap": ap, "macro_ap": mean_of_defined(ap[:, averaged])}


def percentiles(sample: Sequence[float] | NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The two ends of the middle 95 % of a resampled score; None where it was never defined."""
    sample = np.asarray(sample)
    defined = sample[np.isfinite(sample)]
    if len(defined) == 0:
        return None, None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def codes(names: pl.Series) -> NDArray[np.intp]:
    """The place of each name among the sorted distinct names."""
    return (names.rank("dense").to_numpy().astype(np.intp)) - 1


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """`part / whole`, NaN where there is nothing."""
    share: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return share


def mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each row's numbers, NaN for a row without any."""
    defined = np.isfinite(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0.0).sum(axis=1)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean

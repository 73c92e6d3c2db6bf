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

from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import MIN_POSITIVES, f1_score, finite_or_none

RESAMPLES = 500
SEED = 1337
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums per session, enough for every score that is resampled; S sessions, C components.

    Attributes:
        true: (S, C) components struck and said.
        false: (S, C) components said and not struck.
        missed: (S, C) components struck and not said.
        exact: (S,) hits whose said set equals the struck set.
        hits: (S,) hits.
        strata: (S,) number of the source set that the session belongs to.
    """

    true: NDArray[np.float64]
    false: NDArray[np.float64]
    missed: NDArray[np.float64]
    exact: NDArray[np.float64]
    hits: NDArray[np.float64]
    strata: NDArray[np.intp]


def tally(predictions: Predictions) -> Tally:
    """Sum predictions by session, sessions in the order of their names."""
    session = codes(predictions.hits["session_id"])
    count = int(session.max(initial=-1)) + 1
    said, struck = predictions.said, predictions.struck
    strata = np.zeros(count, dtype=np.intp)
    strata[session] = codes(predictions.hits["source_set"])

    def by_session(values: NDArray[np.bool_]) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.bincount(session, values, count).astype(np.float64, copy=False)
        return total

    def by_session_and_class(values: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.stack([by_session(values[:, column]) for column in range(values.shape[1])], axis=1)

    return Tally(
        true=by_session_and_class(said & struck),
        false=by_session_and_class(said & ~struck),
        missed=by_session_and_class(struck & ~said),
        exact=by_session((said == struck).all(axis=1)),
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
        `accuracy`, `exact_match`, `macro_f1`: (B,); `f1`: (B, C). NaN where undefined.
    """
    true, false, missed = (drawn @ part for part in (sums.true, sums.false, sums.missed))
    f1 = f1_score(true, false, missed)
    hits = drawn @ sums.hits
    return {
        "accuracy": f1_score(true.sum(axis=1), false.sum(axis=1), missed.sum(axis=1)),
        "exact_match": np.divide(drawn @ sums.exact, hits, out=np.full(len(hits), np.nan), where=hits > 0),
        "macro_f1": _mean_of_defined(f1[:, averaged]),
        "f1": f1,
    }


def bootstrap_intervals(
    predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = SEED, min_positives: int = MIN_POSITIVES
) -> dict[str, Any]:
    """95 % intervals of accuracy, exact match, macro-F1 and each component's F1.

    Returns:
        JSON-safe: `sessions`, `resamples`, `seed`, `confidence`, and per score `{value, low, high}`, under `f1` one
        such per label. With fewer than two sessions there is nothing to resample, and low and high are None.
    """
    sums = tally(predictions)
    averaged = predictions.struck.sum(axis=0) >= max(min_positives, 1)
    whole = scores(sums, np.ones((1, len(sums.hits))), averaged)
    drawn = scores(sums, resample(sums.strata, resamples, seed), averaged)
    enough = len(sums.hits) > 1

    def interval(name: str, column: int | None = None) -> dict[str, float | None]:
        value, sample = (
            (whole[name], drawn[name]) if column is None else (whole[name][:, column], drawn[name][:, column])
        )
        low, high = percentiles(sample) if enough else (None, None)
        return {"value": finite_or_none(float(value[0])), "low": low, "high": high}

    return {
        "sessions": len(sums.hits),
        "resamples": resamples,
        "seed": seed,
        "confidence": CONFIDENCE,
        **{name: interval(name) for name in ("accuracy", "exact_match", "macro_f1")},
        "f1": {label: interval("f1", column) for column, label in enumerate(predictions.classes)},
    }


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


def _mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each row's numbers, NaN for a row without any."""
    defined = np.isfinite(values)
    count = defined.sum(axis=1)
    total = np.where(defined, values, 0.0).sum(axis=1)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean

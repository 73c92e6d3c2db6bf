"""Average precision of many resamples at once: no sum over sessions, but one over thresholds of such sums.

`metrics.average_precision` looks only at the probabilities of the hits that have the component: between two of them
nothing but their number matters. So hits are counted per session and step, and a resample's counts are one product.
"""

import numpy as np
from numpy.typing import NDArray

from beatsight_core.evaluation.predictions import Predictions

STEPS = 512
"""A component whose hits have more distinct probabilities is looked at in so many steps of equal numbers of them."""


def average_precisions(
    predictions: Predictions, session: NDArray[np.intp], drawn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the average precision of each component in each resample.

    Args:
        predictions: Predictions for N hits and C components.
        session: Number of each hit's session, (N,).
        drawn: Counts of how often each session is drawn, (B, S).

    Returns:
        (B, C); NaN where no hit has the component. Exact while it has at most `STEPS` distinct probabilities.
    """
    columns = [
        _sampled(predictions.probabilities[:, column], predictions.reference[:, column], session, drawn)
        for column in range(len(predictions.classes))
    ]
    return np.stack(columns, axis=1)


def _sampled(
    sure: NDArray[np.float32], reference: NDArray[np.bool_], session: NDArray[np.intp], drawn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(B,) of one component."""
    if not reference.any():
        return np.full(len(drawn), np.nan)
    steps = _steps(sure[reference])
    # The step of a hit is the highest threshold that it reaches, counted from the top; those that reach none come last.
    place = len(steps) - np.searchsorted(steps, sure, side="right")
    width = len(steps) + 1

    def counted(which: NDArray[np.bool_]) -> NDArray[np.float64]:
        cells = session[which] * width + place[which]
        counts = np.bincount(cells, minlength=drawn.shape[1] * width).reshape(-1, width)[:, :-1]
        return drawn @ counts.astype(np.float64)

    hits, found = counted(np.ones(len(sure), dtype=bool)).cumsum(axis=1), counted(reference)
    precision = np.divide(found.cumsum(axis=1), hits, out=np.zeros_like(hits), where=hits > 0)
    whole = found.sum(axis=1)
    area = (found * precision).sum(axis=1)
    result: NDArray[np.float64] = np.divide(area, whole, out=np.full(len(drawn), np.nan), where=whole > 0)
    return result


def _steps(sure: NDArray[np.float32]) -> NDArray[np.float32]:
    """Thresholds, rising, from the least probability of a hit with the component."""
    distinct = np.unique(sure)
    if len(distinct) <= STEPS:
        return distinct
    return np.unique(np.sort(sure)[np.linspace(0, len(sure) - 1, STEPS).astype(np.intp)])

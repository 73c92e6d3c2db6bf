"""Whether a probability means what it says: reliability bins and the expected calibration error.

Every (hit, component) pair is one statement "this component was struck, with probability p". The error is
ECE = sum over bins of (pairs in the bin / pairs) * |share struck - mean p| with equal-width bins (Naeini et al. 2015,
in its binary form).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import ratio

BINS = 15


def calibration(predictions: Predictions, bins: int = BINS) -> dict[str, Any]:
    """Reliability of the probabilities.

    Returns:
        JSON-safe: `ece` over all pairs; `ece_per_class` {label: error}; `bins`: rows of low, high, pairs,
        mean_probability, share_struck (None in an empty bin).
    """
    counts, sums, struck = _binned(predictions, bins)
    edges = np.linspace(0, 1, bins + 1)
    totals = counts.sum(axis=1), sums.sum(axis=1), struck.sum(axis=1)
    return {
        "ece": _error(*totals),
        "ece_per_class": {
            label: _error(counts[:, column], sums[:, column], struck[:, column])
            for column, label in enumerate(predictions.classes)
        },
        "bins": [
            {
                "low": float(edges[bin_]),
                "high": float(edges[bin_ + 1]),
                "pairs": int(totals[0][bin_]),
                "mean_probability": ratio(totals[1][bin_], totals[0][bin_]),
                "share_struck": ratio(totals[2][bin_], totals[0][bin_]),
            }
            for bin_ in range(bins)
        ],
    }


def _binned(predictions: Predictions, bins: int) -> tuple[NDArray[np.float64], ...]:
    """Pairs, sum of probabilities and pairs struck: (bins, C) each."""
    columns = []
    for column in range(len(predictions.classes)):
        sure = predictions.probabilities[:, column].astype(np.float64)
        place = np.minimum((sure * bins).astype(np.intp), bins - 1)
        columns.append(
            [
                np.bincount(place, weights, bins)
                for weights in (np.ones(len(sure)), sure, predictions.targets[:, column])
            ]
        )
    stacked = np.array(columns).reshape(-1, 3, bins).transpose(1, 2, 0)
    return stacked[0], stacked[1], stacked[2]


def _error(counts: NDArray[np.float64], sums: NDArray[np.float64], struck: NDArray[np.float64]) -> float | None:
    # |share - mean| weighted by the bin's pairs is |struck - sum| before the division.
    return ratio(float(np.abs(struck - sums).sum()), float(counts.sum()))

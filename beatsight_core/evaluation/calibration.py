"""Calibration: reliability bins and the expected calibration error, by which a probability means what it says.

Every (hit, component) pair is one statement "the reference has this component, with probability p". The error is
ECE = sum over bins of (pairs in the bin / pairs) * |share true - mean p| with equal-width bins (Naeini et al. 2015,
in its binary form).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import ratio

BINS = 15


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Pairs whose probabilities lie in one bin.

    Attributes:
        low: Lower edge of the bin.
        high: Upper edge of the bin.
        pairs: Number of pairs.
        mean_probability: Mean of their probabilities; None in an empty bin.
        share_struck: Share of them that the reference has, under the key of the first format; None in an empty bin.
    """

    low: float
    high: float
    pairs: int
    mean_probability: float | None
    share_struck: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Reliability of the probabilities.

    Attributes:
        ece: Expected calibration error over all pairs.
        ece_per_class: Label -> error of its pairs.
        bins: Reliability bins, rising.
    """

    ece: float | None
    ece_per_class: Mapping[str, float | None]
    bins: tuple[ReliabilityBin, ...]


def calibration(predictions: Predictions, bins: int = BINS) -> Calibration:
    """Return the reliability of the probabilities."""
    counts, sums, reference = _binned(predictions, bins)
    edges = np.linspace(0, 1, bins + 1)
    totals = counts.sum(axis=1), sums.sum(axis=1), reference.sum(axis=1)
    return Calibration(
        ece=_error(*totals),
        ece_per_class={
            label: _error(counts[:, column], sums[:, column], reference[:, column])
            for column, label in enumerate(predictions.classes)
        },
        bins=tuple(
            ReliabilityBin(
                low=float(edges[bin_]),
                high=float(edges[bin_ + 1]),
                pairs=int(totals[0][bin_]),
                mean_probability=ratio(totals[1][bin_], totals[0][bin_]),
                share_struck=ratio(totals[2][bin_], totals[0][bin_]),
            )
            for bin_ in range(bins)
        ),
    )


def _binned(predictions: Predictions, bins: int) -> tuple[NDArray[np.float64], ...]:
    """Return pairs, sum of probabilities and pairs that the reference has: (bins, C) each."""
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


def _error(counts: NDArray[np.float64], sums: NDArray[np.float64], reference: NDArray[np.float64]) -> float | None:
    # |share - mean| weighted by the bin's pairs is |reference - sum| before the division.
    return ratio(float(np.abs(reference - sums).sum()), float(counts.sum()))

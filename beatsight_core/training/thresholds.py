"""A threshold per class, tuned on the calibration split: greatest F1, but held near a default where data are few."""

from typing import Any

import numpy as np
import numpy.typing as npt

DEFAULT = 0.4
"""The threshold of greatest F1 is half of that F1 when probabilities are true (Lipton et al. 2014): .4 at .8. On kits
never heard, of which a net is too unsure, it gained .01 of accuracy and .03 of macro-F1 over one half."""

LEAST_POSITIVES = 5
"""A class struck less often than this in the calibration split keeps the default."""

PRIOR_POSITIVES = 200.0
"""The default counts as much as the optimum found on this many positives. An optimum of the kits at hand is none of
others: with 20 instead, .04 of accuracy was lost on kits never heard, and .01 to .02 won on those that were."""

Matrix = npt.NDArray[Any]


def tune_thresholds(probabilities: Matrix, targets: Matrix) -> npt.NDArray[np.float64]:
    """Return the threshold of each class.

    Args:
        probabilities: Probabilities (N, C) in 0..1.
        targets: Targets (N, C) of 0 and 1.

    Returns:
        (C,): the threshold of greatest F1, drawn towards `DEFAULT` by `PRIOR_POSITIVES`; the default for a class with
        fewer than `LEAST_POSITIVES` positives.
    """
    columns = range(targets.shape[1])
    return np.array([_tuned(probabilities[:, column], targets[:, column]) for column in columns], dtype=np.float64)


def best_f1_threshold(probabilities: Matrix, targets: Matrix) -> float:
    """Return a class's threshold of greatest F1, half-way to the next lower probability; of equals, that by `DEFAULT`.

    Args:
        probabilities: Probabilities (N,) in 0..1.
        targets: Targets (N,) of 0 and 1, with at least one 1.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order].astype(np.float64)
    caught = np.cumsum(targets[order], dtype=np.float64)
    last_of_ties = np.append(ranked[1:] != ranked[:-1], True)
    said = np.arange(1, len(ranked) + 1)
    f1 = 2.0 * caught / (said + caught[-1])
    between = (ranked + np.append(ranked[1:], 0.0)) / 2.0
    f1, between = f1[last_of_ties], between[last_of_ties]
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(between[best[np.argmin(np.abs(between[best] - DEFAULT))]])


def _tuned(probabilities: Matrix, targets: Matrix) -> float:
    positives = int(targets.sum())
    if positives < LEAST_POSITIVES or positives == len(targets):
        return DEFAULT
    trust = positives / (positives + PRIOR_POSITIVES)
    return trust * best_f1_threshold(probabilities, targets) + (1.0 - trust) * DEFAULT

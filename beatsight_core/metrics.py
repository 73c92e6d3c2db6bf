"""The one definition of every metric: what training watches, evaluation reports and promotion judges.

Conventions: `probabilities` is (N, C) in 0..1, one row per hit and one column per component in class order; `targets`
is (N, C) of 0 and 1; `thresholds` is (C,) or one number; a component is said where its probability is at least its
threshold. A number that its data leave undefined (the recall of a component never struck) is None. Nothing here is
random; the intervals that resample sessions live in `evaluation.bootstrap`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_POSITIVES = 20
"""A component struck in fewer hits is shown and not averaged."""

NOTHING = "nothing"
"""The column of what was missed while no other component was invented."""

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken."""


def multilabel_metrics(
    probabilities: ArrayLike,
    targets: ArrayLike,
    thresholds: ArrayLike,
    classes: Sequence[str],
    min_positives: int = MIN_POSITIVES,
) -> dict[str, Any]:
    """Every metric of a multi-label classifier on one set of hits.

    Args:
        probabilities: (N, C) in 0..1.
        targets: (N, C) of 0 and 1.
        thresholds: (C,) or one number for all.
        classes: C labels in class order.
        min_positives: Least hits with a component for it to enter the macro averages.

    Returns:
        JSON-safe: `hits`; `loss` (mean binary cross-entropy per component, unweighted); `accuracy` (micro-F1 over
        components); `exact_match` (said set = struck set); `top1_in_set` (the surest component was struck; hits without
        a label excluded); `macro_f1`, `macro_ap`; `per_class` {label: precision, recall, f1, ap, positives, averaged};
        all of these again under `solo` (hits of exactly one component) and `simultaneous` (of more); `legacy_accuracy`
        and `legacy_ceiling` (see `legacy_view`).

    Raises:
        ValueError: Shapes disagree, or a probability is not finite or not within 0..1.
    """
    sure, struck = checked(probabilities, targets, classes)
    said = said_components(sure, thresholds)
    sizes = struck.sum(axis=1)
    block = _block(sure, struck, said, classes, min_positives)
    for name, chosen in (("solo", sizes == 1), ("simultaneous", sizes > 1)):
        block[name] = _block(sure[chosen], struck[chosen], said[chosen], classes, min_positives)
    return {**block, **legacy_view(sure, struck), "min_positives": min_positives}


def said_components(probabilities: ArrayLike, thresholds: ArrayLike) -> NDArray[np.bool_]:
    """(N, C) of which components are said: probability >= threshold, compared in the probabilities' own precision."""
    sure = np.asarray(probabilities)
    said: NDArray[np.bool_] = sure >= np.asarray(thresholds, dtype=sure.dtype)
    return said


def binary_cross_entropy(probabilities: ArrayLike, targets: ArrayLike) -> float | None:
    """Mean of -log(p) where struck and -log(1 - p) where not, over all hits and components; None without any."""
    size = np.asarray(probabilities).size
    return float(hit_cross_entropy(probabilities, targets).sum()) / size if size else None


def hit_cross_entropy(probabilities: ArrayLike, targets: ArrayLike) -> NDArray[np.float64]:
    """(N,) the sum over a hit's components of what `binary_cross_entropy` is the mean of."""
    sure, struck = np.asarray(probabilities), np.asarray(targets).astype(bool)
    total = np.zeros(len(sure))
    for column in range(sure.shape[1]):  # by column, so that three million hits need no copy in double precision
        right = np.where(struck[:, column], sure[:, column], 1.0 - sure[:, column].astype(np.float64))
        total -= np.log(np.clip(right, CLIP, 1.0 - CLIP))
    return total


def average_precision(probabilities: ArrayLike, targets: ArrayLike) -> float | None:
    """Area under one component's precision-recall steps: sum over thresholds of (R[n] - R[n-1]) P[n].

    The definition of scikit-learn's `average_precision_score`: no interpolation, equal probabilities are one threshold.

    Args:
        probabilities: (N,).
        targets: (N,) of 0 and 1.

    Returns:
        The area, or None if the component was never struck.
    """
    sure, struck = np.asarray(probabilities), np.asarray(targets).astype(bool)
    positives = int(struck.sum())
    if positives == 0:
        return None
    order = np.argsort(-sure)
    ranked = sure[order]
    last_of_ties = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    hits = np.cumsum(struck[order])[last_of_ties]
    precision = hits / (last_of_ties + 1)
    return float(np.sum(np.diff(hits, prepend=0) * precision) / positives)


def precision_recall(probabilities: ArrayLike, targets: ArrayLike, points: int = 50) -> dict[str, list[float]]:
    """One component's precision and recall by threshold, thinned to steps of equal recall.

    Args:
        probabilities: (N,).
        targets: (N,) of 0 and 1.
        points: At most so many.

    Returns:
        `recall` (rising), `precision` and `threshold`, of equal length; empty if the component was never struck.
    """
    sure, struck = np.asarray(probabilities), np.asarray(targets).astype(bool)
    positives = int(struck.sum())
    if positives == 0:
        return {"recall": [], "precision": [], "threshold": []}
    order = np.argsort(-sure)
    ranked, hits = sure[order], np.cumsum(struck[order])
    last_of_ties = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    recall = hits[last_of_ties] / positives
    wanted = np.unique(np.searchsorted(recall, np.linspace(0, 1, points) * recall[-1]))
    kept = last_of_ties[wanted]
    return {
        "recall": recall[wanted].tolist(),
        "precision": (hits[kept] / (kept + 1)).tolist(),
        "threshold": ranked[kept].astype(np.float64).tolist(),
    }


def confusion_counts(probabilities: ArrayLike, struck: ArrayLike, said: ArrayLike) -> NDArray[np.int64]:
    """What was said instead of what was struck, for hits of several components.

    A hit may miss several components and invent several. Each missed component is counted once: against the surest of
    the invented ones, or against nothing if none was invented. A row's sum is thus how often it was missed.

    Args:
        probabilities: (N, C).
        struck: (N, C) of 0 and 1.
        said: (N, C) of 0 and 1.

    Returns:
        (C, C + 1) of how often the component of a row was missed and that of a column, last "nothing", said instead.
    """
    classes = np.asarray(struck).shape[1]
    _, cells = confusions(probabilities, struck, said)
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1).astype(np.int64)


def confusions(
    probabilities: ArrayLike, struck: ArrayLike, said: ArrayLike
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """What `confusion_counts` counts, one by one.

    Returns:
        The hit of each missed component, and the cell of the (C, C + 1) table, row by row, that it falls into.
    """
    sure, hit, told = np.asarray(probabilities), np.asarray(struck).astype(bool), np.asarray(said).astype(bool)
    classes = hit.shape[1]
    invented = told & ~hit
    surest = np.where(invented, sure, -1.0).argmax(axis=1)
    instead = np.where(invented.any(axis=1), surest, classes)
    rows, missed = np.nonzero(hit & ~told)
    return rows, missed * (classes + 1) + instead[rows]


def legacy_view(probabilities: ArrayLike, targets: ArrayLike) -> dict[str, float | None]:
    """Accuracy as single-label classifiers were measured, so that old numbers can be compared.

    Every hit becomes one row per struck component; a row is right if the surest component is that row's. One answer per
    hit can be right in one of its rows only, so the best possible is `legacy_ceiling` = hits with labels / rows.

    Returns:
        `legacy_accuracy` and `legacy_ceiling`.
    """
    sure, struck = np.asarray(probabilities), np.asarray(targets).astype(bool)
    rows = int(struck.sum())
    return {
        "legacy_accuracy": ratio(float(surest_was_struck(sure, struck).sum()), rows),
        "legacy_ceiling": ratio(float(struck.any(axis=1).sum()), rows),
    }


def f1_score(true: ArrayLike, false: ArrayLike, missed: ArrayLike) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN), element by element; NaN where all three are 0.

    Args:
        true: Components struck and said (TP).
        false: Components said and not struck (FP).
        missed: Components struck and not said (FN).
    """
    doubled = 2.0 * np.asarray(true, dtype=np.float64)
    whole = doubled + np.asarray(false) + np.asarray(missed)
    score: NDArray[np.float64] = np.divide(doubled, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return score


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`, or None where that is undefined."""
    return float(part) / float(whole) if whole else None


def finite_or_none(value: float) -> float | None:
    """A number that JSON can hold: NaN and infinities become None."""
    return float(value) if math.isfinite(value) else None


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """The mean of the defined values; None without any."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def checked(
    probabilities: ArrayLike, targets: ArrayLike, classes: Sequence[str]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """Both matrices as (N, C) arrays of floats and of booleans.

    Raises:
        ValueError: Shapes disagree, or a probability is not finite or not within 0..1.
    """
    sure, struck = np.asarray(probabilities), np.asarray(targets)
    if not np.issubdtype(sure.dtype, np.floating) or sure.dtype == np.float16:
        sure = sure.astype(np.float64)
    if sure.ndim != 2 or sure.shape != struck.shape or sure.shape[1] != len(classes):
        raise ValueError(
            f"probabilities {sure.shape} and targets {struck.shape} must both be (hits, {len(classes)} classes)"
        )
    if sure.size and not (sure.min() >= 0.0 and sure.max() <= 1.0):  # NaN fails both comparisons
        raise ValueError("probabilities must be finite and lie within 0..1")
    return sure, struck.astype(bool)


def _block(
    sure: NDArray[np.floating[Any]],
    struck: NDArray[np.bool_],
    said: NDArray[np.bool_],
    classes: Sequence[str],
    min_positives: int,
) -> dict[str, Any]:
    """The metrics that are repeated for all, solo and simultaneous hits."""
    true, false, missed = (
        counts.sum(axis=0, dtype=np.int64) for counts in (struck & said, said & ~struck, struck & ~said)
    )
    f1 = f1_score(true, false, missed)
    per_class: dict[str, dict[str, Any]] = {}
    for column, label in enumerate(classes):
        positives = int(true[column] + missed[column])
        per_class[label] = {
            "precision": ratio(true[column], true[column] + false[column]),
            "recall": ratio(true[column], positives),
            "f1": finite_or_none(f1[column]),
            "ap": average_precision(sure[:, column], struck[:, column]),
            "positives": positives,
            "averaged": positives >= max(min_positives, 1),
        }
    averaged = [scores for scores in per_class.values() if scores["averaged"]]
    return {
        "hits": len(sure),
        "loss": binary_cross_entropy(sure, struck),
        "accuracy": finite_or_none(float(f1_score(true.sum(), false.sum(), missed.sum()))),
        "exact_match": ratio(float((struck == said).all(axis=1).sum()), len(sure)),
        "top1_in_set": ratio(float(surest_was_struck(sure, struck).sum()), float(struck.any(axis=1).sum())),
        "macro_f1": mean_or_none([scores["f1"] for scores in averaged]),
        "macro_ap": mean_or_none([scores["ap"] for scores in averaged]),
        "per_class": per_class,
    }


def surest_was_struck(sure: NDArray[np.floating[Any]], struck: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) whether the component of highest probability (the first of equals) was struck."""
    if len(sure) == 0:
        return np.zeros(0, dtype=bool)
    surest = sure.argmax(axis=1)
    was: NDArray[np.bool_] = struck[np.arange(len(struck)), surest]
    return was

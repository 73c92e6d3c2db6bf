"""The one definition of every metric: what training watches, evaluation reports and promotion judges.

Conventions: `probabilities` is (N, C) in 0..1, one row per hit and one column per component in class order; `targets`,
the reference, is (N, C) of 0 and 1; `thresholds` is (C,) or one number; a component is predicted where its probability
is at least its threshold. A number that its data leave undefined (the recall of a component without reference) is None.
Nothing here is random; the intervals that resample sessions live in `evaluation.bootstrap`. The module stands above
training and evaluation, because both need the same figures and training must not import evaluation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beatsight_core.taxonomy import MIN_POSITIVES

NOTHING = "nothing"
"""Column of what was missed while no other component was predicted wrongly."""

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken."""


Probabilities = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Figures of one component; what the data leave undefined is None.

    Attributes:
        precision: Share of its predictions that are right.
        recall: Share of its reference hits that were predicted.
        f1: F1 of the two.
        ap: Average precision.
        positives: Number of hits with the component.
        averaged: Flag of a component that enters the macro averages.
    """

    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    ap: float | None = None
    positives: int = 0
    averaged: bool = False


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one set of hits; what the data leave undefined is None.

    Attributes:
        hits: Number of hits.
        loss: Mean binary cross-entropy per component, unweighted.
        accuracy: Micro-F1 over components.
        exact_match: Share of hits whose predicted set is the reference set.
        top1_in_set: Share of labelled hits whose most probable component is in the reference.
        macro_f1: Mean F1 of the averaged components.
        macro_ap: Mean average precision of the averaged components.
        per_class: Label -> its scores, in class order.
    """

    hits: int = 0
    loss: float | None = None
    accuracy: float | None = None
    exact_match: float | None = None
    top1_in_set: float | None = None
    macro_f1: float | None = None
    macro_ap: float | None = None
    per_class: Mapping[str, ClassScores] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LegacyView:
    """Accuracy as single-label classifiers were measured, so that old numbers can be compared.

    Attributes:
        legacy_accuracy: Share of rows whose component is the most probable one, with one row per reference component.
        legacy_ceiling: Best possible share of such rows.
    """

    legacy_accuracy: float | None
    legacy_ceiling: float | None


@dataclass(frozen=True, slots=True)
class Metrics(Scores):
    """Every figure of a multi-label classifier on one set of hits.

    Attributes:
        solo: Scores on hits of exactly one component.
        simultaneous: Scores on hits of more than one.
        legacy_accuracy: Accuracy of single-label classifiers, see `LegacyView`.
        legacy_ceiling: Best possible accuracy on that view.
        min_positives: Least hits with a component for it to enter the macro averages.
    """

    solo: Scores = field(default_factory=Scores)
    simultaneous: Scores = field(default_factory=Scores)
    legacy_accuracy: float | None = None
    legacy_ceiling: float | None = None
    min_positives: int = MIN_POSITIVES


@dataclass(frozen=True, slots=True)
class TradeOff:
    """Precision and recall of one component by threshold; three lists of equal length.

    Attributes:
        recall: Recall, rising.
        precision: Precision at that recall.
        threshold: Threshold that gives both.
    """

    recall: tuple[float, ...] = ()
    precision: tuple[float, ...] = ()
    threshold: tuple[float, ...] = ()


def multilabel_metrics(
    probabilities: ArrayLike,
    targets: ArrayLike,
    thresholds: ArrayLike,
    classes: Sequence[str],
    min_positives: int = MIN_POSITIVES,
) -> Metrics:
    """Return every metric of a multi-label classifier on one set of hits.

    Args:
        probabilities: Probabilities, (N, C) in 0..1.
        targets: Reference, (N, C) of 0 and 1.
        thresholds: Thresholds, (C,) or one number for all.
        classes: Labels in class order, C of them.
        min_positives: Least hits with a component for it to enter the macro averages.

    Raises:
        ValueError: Shapes disagree, or a probability is not finite or not within 0..1.
    """
    sure, reference = checked(probabilities, targets, classes)
    predicted = predicted_components(sure, thresholds)
    sizes = reference.sum(axis=1)
    solo, simultaneous = (
        _scores(sure[chosen], reference[chosen], predicted[chosen], classes, min_positives)
        for chosen in (sizes == 1, sizes > 1)
    )
    whole, legacy = _scores(sure, reference, predicted, classes, min_positives), legacy_view(sure, reference)
    return Metrics(
        hits=whole.hits,
        loss=whole.loss,
        accuracy=whole.accuracy,
        exact_match=whole.exact_match,
        top1_in_set=whole.top1_in_set,
        macro_f1=whole.macro_f1,
        macro_ap=whole.macro_ap,
        per_class=whole.per_class,
        solo=solo,
        simultaneous=simultaneous,
        legacy_accuracy=legacy.legacy_accuracy,
        legacy_ceiling=legacy.legacy_ceiling,
        min_positives=min_positives,
    )


def predicted_components(probabilities: ArrayLike, thresholds: ArrayLike) -> NDArray[np.bool_]:
    """Return (N, C) of what is predicted: probability >= threshold, compared in the probabilities' own precision."""
    sure = np.asarray(probabilities)
    predicted: NDArray[np.bool_] = sure >= np.asarray(thresholds, dtype=sure.dtype)
    return predicted


def binary_cross_entropy(probabilities: ArrayLike, targets: ArrayLike) -> float | None:
    """Return the mean of -log(p) where the reference is 1 and -log(1 - p) elsewhere; None without any hit."""
    size = np.asarray(probabilities).size
    return float(hit_cross_entropy(probabilities, targets).sum()) / size if size else None


def hit_cross_entropy(probabilities: ArrayLike, targets: ArrayLike) -> NDArray[np.float64]:
    """Return (N,) the sum over a hit's components of what `binary_cross_entropy` is the mean of."""
    sure, reference = np.asarray(probabilities), np.asarray(targets).astype(bool)
    total = np.zeros(len(sure))
    for column in range(sure.shape[1]):  # by column, so that three million hits need no copy in double precision
        right = np.where(reference[:, column], sure[:, column], 1.0 - sure[:, column].astype(np.float64))
        total -= np.log(np.clip(right, CLIP, 1.0 - CLIP))
    return total


def average_precision(probabilities: ArrayLike, targets: ArrayLike) -> float | None:
    """Return the area under one component's precision-recall steps: sum over thresholds of (R[n] - R[n-1]) P[n].

    The definition of scikit-learn's `average_precision_score`: no interpolation, equal probabilities are one threshold.

    Args:
        probabilities: Probabilities, (N,).
        targets: Reference, (N,) of 0 and 1.

    Returns:
        The area, or None if no hit has the component.
    """
    sure, reference = np.asarray(probabilities), np.asarray(targets).astype(bool)
    positives = int(reference.sum())
    if positives == 0:
        return None
    order = np.argsort(-sure)
    ranked = sure[order]
    last_of_ties = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    hits = np.cumsum(reference[order])[last_of_ties]
    precision = hits / (last_of_ties + 1)
    return float(np.sum(np.diff(hits, prepend=0) * precision) / positives)


def precision_recall(probabilities: ArrayLike, targets: ArrayLike, points: int = 50) -> TradeOff:
    """Return one component's precision and recall by threshold, thinned to steps of equal recall.

    Args:
        probabilities: Probabilities, (N,).
        targets: Reference, (N,) of 0 and 1.
        points: Greatest number of steps.

    Returns:
        The steps; none if no hit has the component.
    """
    sure, reference = np.asarray(probabilities), np.asarray(targets).astype(bool)
    positives = int(reference.sum())
    if positives == 0:
        return TradeOff()
    order = np.argsort(-sure)
    ranked, hits = sure[order], np.cumsum(reference[order])
    last_of_ties = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    recall = hits[last_of_ties] / positives
    wanted = np.unique(np.searchsorted(recall, np.linspace(0, 1, points) * recall[-1]))
    kept = last_of_ties[wanted]
    return TradeOff(
        recall=tuple(recall[wanted].tolist()),
        precision=tuple((hits[kept] / (kept + 1)).tolist()),
        threshold=tuple(ranked[kept].astype(np.float64).tolist()),
    )


def confusion_counts(probabilities: ArrayLike, reference: ArrayLike, predicted: ArrayLike) -> NDArray[np.int64]:
    """Return how often each component was predicted instead of each reference, for hits of several components.

    A hit may miss several components and have several wrong predictions. Each missed component is counted once: against
    the most probable of the wrong predictions, or against nothing without any. A row's sum is thus how often it was
    missed.

    Args:
        probabilities: Probabilities, (N, C).
        reference: Reference, (N, C) of 0 and 1.
        predicted: Predictions, (N, C) of 0 and 1.

    Returns:
        (C, C + 1) of how often the component of a row was missed and that of a column, last "nothing", was predicted.
    """
    classes = np.asarray(reference).shape[1]
    _, cells = confusions(probabilities, reference, predicted)
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1).astype(np.int64)


def confusions(
    probabilities: ArrayLike, reference: ArrayLike, predicted: ArrayLike
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return what `confusion_counts` counts, one by one.

    Returns:
        The hit of each missed component, and the cell of the (C, C + 1) table, row by row, that it falls into.
    """
    sure, is_there, found = (
        np.asarray(probabilities),
        np.asarray(reference).astype(bool),
        np.asarray(predicted).astype(bool),
    )
    classes = is_there.shape[1]
    invented = found & ~is_there
    surest = np.where(invented, sure, -1.0).argmax(axis=1)
    instead = np.where(invented.any(axis=1), surest, classes)
    rows, missed = np.nonzero(is_there & ~found)
    return rows, missed * (classes + 1) + instead[rows]


def legacy_view(probabilities: ArrayLike, targets: ArrayLike) -> LegacyView:
    """Return the accuracy as single-label classifiers were measured, so that old numbers can be compared.

    Every hit becomes one row per reference component; a row is right if the most probable component is that row's. One
    answer per hit can be right in one of its rows only, so the best possible is hits with labels / rows.
    """
    sure, reference = np.asarray(probabilities), np.asarray(targets).astype(bool)
    rows = int(reference.sum())
    return LegacyView(
        legacy_accuracy=ratio(float(top1_in_reference(sure, reference).sum()), rows),
        legacy_ceiling=ratio(float(reference.any(axis=1).sum()), rows),
    )


def f1_score(true: ArrayLike, false: ArrayLike, missed: ArrayLike) -> NDArray[np.float64]:
    """Return 2 TP / (2 TP + FP + FN), element by element; NaN where all three are 0.

    Args:
        true: Counts of right predictions (TP).
        false: Counts of wrong predictions (FP).
        missed: Counts of reference components without a prediction (FN).
    """
    doubled = 2.0 * np.asarray(true, dtype=np.float64)
    whole = doubled + np.asarray(false) + np.asarray(missed)
    score: NDArray[np.float64] = np.divide(doubled, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return score


def ratio(part: float, whole: float) -> float | None:
    """Return `part / whole`, or None where that is undefined."""
    return float(part) / float(whole) if whole else None


def finite_or_none(value: float) -> float | None:
    """Return a number that JSON can hold: NaN and infinities become None."""
    return float(value) if math.isfinite(value) else None


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """Return the mean of the defined values; None without any."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def checked(
    probabilities: ArrayLike, targets: ArrayLike, classes: Sequence[str]
) -> tuple[Probabilities, NDArray[np.bool_]]:
    """Return both matrices as (N, C) arrays of floats and of booleans.

    Raises:
        ValueError: Shapes disagree, or a probability is not finite or not within 0..1.
    """
    sure, reference = np.asarray(probabilities), np.asarray(targets)
    if not np.issubdtype(sure.dtype, np.floating) or sure.dtype == np.float16:
        sure = sure.astype(np.float64)
    if sure.ndim != 2 or sure.shape != reference.shape or sure.shape[1] != len(classes):
        raise ValueError(
            f"probabilities {sure.shape} and targets {reference.shape} must both be (hits, {len(classes)} classes)"
        )
    if sure.size and not (sure.min() >= 0.0 and sure.max() <= 1.0):  # NaN fails both comparisons
        raise ValueError("probabilities must be finite and lie within 0..1")
    return sure, reference.astype(bool)


def top1_in_reference(sure: Probabilities, reference: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (N,) whether the component of highest probability (the first of equals) is in the reference."""
    if len(sure) == 0:
        return np.zeros(0, dtype=bool)
    surest = sure.argmax(axis=1)
    found: NDArray[np.bool_] = reference[np.arange(len(reference)), surest]
    return found


def _scores(
    sure: Probabilities,
    reference: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    classes: Sequence[str],
    min_positives: int,
) -> Scores:
    """Return the metrics that are repeated for all, solo and simultaneous hits."""
    true, false, missed = (
        counts.sum(axis=0, dtype=np.int64)
        for counts in (reference & predicted, predicted & ~reference, reference & ~predicted)
    )
    f1 = f1_score(true, false, missed)
    per_class = {}
    for column, label in enumerate(classes):
        positives = int(true[column] + missed[column])
        per_class[label] = ClassScores(
            precision=ratio(true[column], true[column] + false[column]),
            recall=ratio(true[column], positives),
            f1=finite_or_none(f1[column]),
            ap=average_precision(sure[:, column], reference[:, column]),
            positives=positives,
            averaged=positives >= max(min_positives, 1),
        )
    averaged = [scores for scores in per_class.values() if scores.averaged]
    return Scores(
        hits=len(sure),
        loss=binary_cross_entropy(sure, reference),
        accuracy=finite_or_none(float(f1_score(true.sum(), false.sum(), missed.sum()))),
        exact_match=ratio(float((reference == predicted).all(axis=1).sum()), len(sure)),
        top1_in_set=ratio(float(top1_in_reference(sure, reference).sum()), float(reference.any(axis=1).sum())),
        macro_f1=mean_or_none([scores.f1 for scores in averaged]),
        macro_ap=mean_or_none([scores.ap for scores in averaged]),
        per_class=per_class,
    )

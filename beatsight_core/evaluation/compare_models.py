"""Comparison of two models on the same hits: what got better, what got worse, and whether that is more than chance."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beatsight_core.errors import DatasetError
from beatsight_core.evaluation.bootstrap import (
    RESAMPLES,
    SEED,
    codes,
    percentiles,
    resample,
    sampled_scores,
    sum_by_session,
)
from beatsight_core.evaluation.confusion import WATCHED_PAIRS, WatchedPair, missed_as, watched_pair
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import NOTHING, confusions, finite_or_none, ratio
from beatsight_core.taxonomy import MIN_POSITIVES


@dataclass(frozen=True, slots=True)
class Change:
    """A score of two models on the same hits.

    Attributes:
        before: Score of the first model; None where it is undefined.
        after: Score of the second.
        difference: Difference after - before.
        low: Lower end of the difference's 95 % interval; None with one session.
        high: Upper end of it.
    """

    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class PairChange:
    """A watched pair, confused by two models.

    Attributes:
        before: Confusions of the first model.
        after: Confusions of the second.
    """

    before: WatchedPair
    after: WatchedPair


@dataclass(frozen=True, slots=True)
class ConfusionChange:
    """A pair of components that is confused more often or less often than before.

    Attributes:
        struck: Label of the reference, under the key of the first format.
        said: Label of the prediction, or "nothing", under the key of the first format.
        before: Count of the first model.
        after: Count of the second.
        difference: Difference of the counts.
        rate_before: Share of the reference hits that the first model confuses.
        rate_after: Share of them that the second confuses.
        low: Lower end of the difference's 95 % interval; None with one session.
        high: Upper end of it.
    """

    struck: str
    said: str
    before: int
    after: int
    difference: int
    rate_before: float | None
    rate_after: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ModelChange:
    """Everything that differs between two models on the same hits.

    Attributes:
        hits: Number of hits.
        sessions: Number of their sessions.
        accuracy: Change of the accuracy; the other scores of `SCORES` follow.
        exact_match: Change of the exact match.
        top1_in_set: Change of the share of hits whose most probable component is in the reference.
        macro_f1: Change of the mean F1.
        macro_ap: Change of the mean average precision.
        loss: Change of the loss.
        f1: Label -> change of its F1; the other scores of `CLASS_SCORES` follow.
        precision: Label -> change of its precision.
        recall: Label -> change of its recall.
        ap: Label -> change of its average precision.
        better: Labels of components whose F1 rose beyond its interval.
        worse: Labels of components whose F1 fell beyond its interval.
        pairs: Name of a watched pair -> its confusions before and after.
        confusions: Pairs that grew or shrank, the largest change first.
    """

    hits: int
    sessions: int
    accuracy: Change
    exact_match: Change
    top1_in_set: Change
    macro_f1: Change
    macro_ap: Change
    loss: Change
    f1: Mapping[str, Change]
    precision: Mapping[str, Change]
    recall: Mapping[str, Change]
    ap: Mapping[str, Change]
    better: tuple[str, ...]
    worse: tuple[str, ...]
    pairs: Mapping[str, PairChange]
    confusions: tuple[ConfusionChange, ...]


@dataclass(frozen=True, slots=True)
class RivalComparison:
    """A run beside one rival.

    Attributes:
        roles: Roles of the rival.
        name: Name of the rival.
        same_data: Flag of a rival that learned from this very dataset. Without it, hits that are validated here may be
            among those that the rival learned from.
        change: Differences, with the rival before and the run after; None if they could not be compared.
        why_not: Reason why not.
    """

    roles: tuple[str, ...]
    name: str
    same_data: bool
    change: ModelChange | None
    why_not: str | None


def compare_predictions(
    before: Predictions,
    after: Predictions,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    min_positives: int = MIN_POSITIVES,
) -> ModelChange:
    """Return the differences on the hits that both models have, by a paired bootstrap over sessions.

    Paired: each resample draws the same sessions for both models, so what makes a session hard for both cancels out.

    Raises:
        DatasetError: The two share no hit or no component.
    """
    before, after = _aligned(before, after)
    sums = sum_by_session(before), sum_by_session(after)
    averaged = before.reference.sum(axis=0) >= max(min_positives, 1)
    drawn = resample(sums[0].strata, resamples, seed)
    everything = np.ones((1, len(sums[0].hits)))
    whole, sampled = (
        [sampled_scores(each, sum_, times, averaged) for each, sum_ in zip((before, after), sums, strict=True)]
        for times in (everything, drawn)
    )
    enough = len(sums[0].hits) > 1

    def change(name: str, column: int | None = None) -> Change:
        place = (slice(None),) if column is None else (slice(None), column)
        old, new = (float(each[name][place][0]) for each in whole)
        low, high = percentiles(sampled[1][name][place] - sampled[0][name][place]) if enough else (None, None)
        return Change(finite_or_none(old), finite_or_none(new), finite_or_none(new - old), low, high)

    def by_label(name: str) -> dict[str, Change]:
        return {label: change(name, column) for column, label in enumerate(before.classes)}

    f1 = by_label("f1")
    return ModelChange(
        hits=len(before),
        sessions=len(sums[0].hits),
        accuracy=change("accuracy"),
        exact_match=change("exact_match"),
        top1_in_set=change("top1_in_set"),
        macro_f1=change("macro_f1"),
        macro_ap=change("macro_ap"),
        loss=change("loss"),
        f1=f1,
        precision=by_label("precision"),
        recall=by_label("recall"),
        ap=by_label("ap"),
        better=tuple(label for label, row in f1.items() if row.low is not None and row.low > 0),
        worse=tuple(label for label, row in f1.items() if row.high is not None and row.high < 0),
        pairs=_pairs(before, after),
        confusions=_changed_confusions(before, after, drawn),
    )


def _aligned(before: Predictions, after: Predictions) -> tuple[Predictions, Predictions]:
    """Return both on their common hits and components, in the order of the first."""
    left, right = (each.hits.select("hit_id").with_row_index(name) for each, name in ((before, "l"), (after, "r")))
    common = left.join(right, on="hit_id", how="inner").sort("l")
    classes = [label for label in before.classes if label in after.classes]
    if len(common) == 0 or not classes:
        raise DatasetError(
            f"Two evaluations share {len(common)} hits and {len(classes)} components: they cannot be compared",
            do="evaluate both runs on the same manifest",
        )
    old = before.part(common["l"].to_numpy(), classes)
    new = after.part(common["r"].to_numpy(), classes)
    return dataclasses.replace(old, targets=new.targets), new  # one reference for both: the later one


def _pairs(before: Predictions, after: Predictions) -> dict[str, PairChange]:
    reference = before.reference.sum(axis=0)
    matrices = missed_as(before), missed_as(after)
    return {
        name: PairChange(*(watched_pair(matrix, reference, before.classes, one, other) for matrix in matrices))
        for name, one, other in WATCHED_PAIRS
    }


def _changed_confusions(
    before: Predictions, after: Predictions, drawn: NDArray[np.float64]
) -> tuple[ConfusionChange, ...]:
    """Return every pair of components that is confused more often or less often than before, the largest change first.

    Args:
        before: Predictions of the first model.
        after: Predictions of the second model on the same hits.
        drawn: Counts of how often each session is drawn, (resamples, S).
    """
    classes = len(before.classes)
    then, now = (_confusions_by_session(each, drawn.shape[1]) for each in (before, after))
    change = now - then
    strokes = before.reference.sum(axis=0)
    changed = np.flatnonzero(change.sum(axis=0))
    sampled = drawn @ change[:, changed]
    rows = []
    for place, cell in enumerate(changed):
        reference, predicted = divmod(int(cell), classes + 1)
        counts = int(then[:, cell].sum()), int(now[:, cell].sum())
        low, high = percentiles(sampled[:, place]) if drawn.shape[1] > 1 else (None, None)
        rows.append(
            ConfusionChange(
                struck=before.classes[reference],
                said=(*before.classes, NOTHING)[predicted],
                before=counts[0],
                after=counts[1],
                difference=counts[1] - counts[0],
                rate_before=ratio(counts[0], float(strokes[reference])),
                rate_after=ratio(counts[1], float(strokes[reference])),
                low=low,
                high=high,
            )
        )
    return tuple(sorted(rows, key=lambda row: -abs(row.difference)))


def _confusions_by_session(predictions: Predictions, sessions: int) -> NDArray[np.float64]:
    """Return (S, C * (C + 1)) how often each cell of `confusion_counts` was met in each session."""
    cells = len(predictions.classes) * (len(predictions.classes) + 1)
    rows, met = confusions(predictions.probabilities, predictions.reference, predictions.predicted)
    places = codes(predictions.hits["session_id"])[rows] * cells + met
    return np.bincount(places, minlength=sessions * cells).reshape(sessions, cells).astype(np.float64)

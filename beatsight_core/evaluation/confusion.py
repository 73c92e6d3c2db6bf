"""Confusions, what is predicted instead of the reference, as a report shows them; `metrics.confusion_counts` counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.metrics import NOTHING, confusion_counts, ratio
from beatsight_core.pages.pictures import heatmap

WATCHED_PAIRS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("kick and ride_bow", ("kick",), ("ride_bow",)),
    ("hihat and snare", ("hihat_",), ("snare",)),
)
"""Name, and the two sides: a label, or a beginning of labels where it ends with an underscore."""


@dataclass(frozen=True, slots=True)
class WatchedPair:
    """How often two groups of components are taken for each other.

    Attributes:
        first_as_second: Number of hits of the first predicted as the second.
        second_as_first: Number of hits of the second predicted as the first.
        struck: Number of reference hits of both, under the key of the first format.
        rate: Confusions per reference hit; None without any.
    """

    first_as_second: int
    second_as_first: int
    struck: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """A component that is taken for another; keys are those of the first format.

    Attributes:
        struck: Label of the reference.
        said: Label of the prediction.
        count: Number of times.
        rate: Share of the reference hits.
    """

    struck: str
    said: str
    count: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """The matrix of confusions and what a reader looks for in it.

    Attributes:
        classes: Labels of the rows, in class order.
        columns: Labels of the columns, last "nothing".
        matrix: Counts of how often a row was missed and a column predicted instead.
        struck: Label -> number of its reference hits, under the key of the first format.
        invented: Label -> number of its wrong predictions.
        pairs: Name of a watched pair -> its confusions.
        worst: Largest confusions between components, ten at most.
    """

    classes: tuple[str, ...]
    columns: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    struck: Mapping[str, int]
    invented: Mapping[str, int]
    pairs: Mapping[str, WatchedPair]
    worst: tuple[ConfusedPair, ...]


@dataclass(frozen=True, slots=True)
class ShownConfusion:
    """The part of a matrix that is drawn.

    Attributes:
        rows: Labels of the rows.
        columns: Labels of the columns.
        cells: Counts, row by row.
    """

    rows: list[str]
    columns: list[str]
    cells: list[list[int]]


def missed_as(predictions: Predictions) -> NDArray[np.int64]:
    """Return (C, C + 1) of how often a row was missed and a column, last "nothing", was predicted instead."""
    return confusion_counts(predictions.probabilities, predictions.reference, predictions.predicted)


def confusion(predictions: Predictions) -> Confusion:
    """Return the matrix and what a reader looks for in it."""
    matrix = missed_as(predictions)
    reference = predictions.reference.sum(axis=0)
    invented = (predictions.predicted & ~predictions.reference).sum(axis=0)
    classes = predictions.classes
    return Confusion(
        classes=classes,
        columns=(*classes, NOTHING),
        matrix=tuple(tuple(row) for row in matrix.tolist()),
        struck={label: int(count) for label, count in zip(classes, reference, strict=True)},
        invented={label: int(count) for label, count in zip(classes, invented, strict=True)},
        pairs={name: watched_pair(matrix, reference, classes, one, other) for name, one, other in WATCHED_PAIRS},
        worst=_worst(matrix, reference, classes),
    )


def met(confusion: Confusion) -> ShownConfusion:
    """Return the matrix without components that have neither a reference nor a prediction."""
    places = [
        place for place, label in enumerate(confusion.classes) if confusion.struck[label] or confusion.invented[label]
    ]
    columns = [*places, len(confusion.classes)]
    return ShownConfusion(
        rows=[confusion.classes[place] for place in places],
        columns=[confusion.columns[place] for place in columns],
        cells=[[confusion.matrix[row][column] for column in columns] for row in places],
    )


def confusion_picture(confusion: Confusion) -> bytes:
    """Return the matrix as a PNG, as `met` has it."""
    shown = met(confusion)
    title = "Missed, and what was said instead"
    return heatmap(shown.cells, shown.rows, shown.columns, title=title, axes_names=("struck", "said"))


def watched_pair(
    matrix: NDArray[np.int64],
    reference: NDArray[np.int64],
    classes: Sequence[str],
    one: Sequence[str],
    other: Sequence[str],
) -> WatchedPair:
    """Return how often two groups of components are taken for each other.

    Args:
        matrix: Counts as `missed_as` gives them.
        reference: Number of reference hits of each component, (C,).
        classes: Labels in class order.
        one: Labels, or beginnings of labels, of the first group.
        other: Labels, or beginnings of labels, of the second group.
    """
    first, second = _members(classes, one), _members(classes, other)
    forth = int(matrix[np.ix_(first, second)].sum())
    back = int(matrix[np.ix_(second, first)].sum())
    strokes = int(reference[first].sum() + reference[second].sum())
    return WatchedPair(forth, back, strokes, ratio(forth + back, strokes))


def _members(classes: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return columns of the labels named; `snare` also finds the `snare_center` of the extended set."""
    whole = {name for name in names if not name.endswith("_")} | {f"{name}_center" for name in names}
    starts = tuple(name for name in names if name.endswith("_"))
    return [column for column, label in enumerate(classes) if label in whole or (starts and label.startswith(starts))]


def _worst(matrix: NDArray[np.int64], reference: NDArray[np.int64], classes: Sequence[str]) -> tuple[ConfusedPair, ...]:
    between = matrix[:, :-1]
    order = np.argsort(-between, axis=None, kind="stable")[:10]
    cells = [divmod(int(place), len(classes)) for place in order]
    return tuple(
        ConfusedPair(
            struck=classes[row],
            said=classes[column],
            count=int(between[row, column]),
            rate=ratio(float(between[row, column]), float(reference[row])),
        )
        for row, column in cells
        if between[row, column] > 0
    )

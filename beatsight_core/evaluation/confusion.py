"""What is said instead of what was struck, as a report shows it; `metrics.confusion_counts` counts it."""

from collections.abc import Mapping, Sequence
from typing import Any

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


def missed_as(predictions: Predictions) -> NDArray[np.int64]:
    """(C, C + 1) of how often the component of a row was missed and that of a column, last "nothing", said instead."""
    return confusion_counts(predictions.probabilities, predictions.struck, predictions.said)


def confusion(predictions: Predictions) -> dict[str, Any]:
    """The matrix and what a reader looks for in it.

    Returns:
        JSON-safe: `classes`, `columns` (classes and "nothing"), `matrix`, `struck` and `invented` {label: count},
        `pairs` {name of a watched pair: `watched_pair`}, `worst`: the ten largest confusions between components.
    """
    matrix = missed_as(predictions)
    struck = predictions.struck.sum(axis=0)
    invented = (predictions.said & ~predictions.struck).sum(axis=0)
    classes = predictions.classes
    return {
        "classes": list(classes),
        "columns": [*classes, NOTHING],
        "matrix": matrix.tolist(),
        "struck": {label: int(count) for label, count in zip(classes, struck, strict=True)},
        "invented": {label: int(count) for label, count in zip(classes, invented, strict=True)},
        "pairs": {name: watched_pair(matrix, struck, classes, one, other) for name, one, other in WATCHED_PAIRS},
        "worst": _worst(matrix, struck, classes),
    }


def met(confusion: Mapping[str, Any]) -> dict[str, Any]:
    """The matrix without components that were neither struck nor said: `rows` and `columns` (names), `cells`."""
    places = [
        place
        for place, label in enumerate(confusion["classes"])
        if confusion["struck"][label] or confusion["invented"][label]
    ]
    columns = [*places, len(confusion["classes"])]
    return {
        "rows": [confusion["classes"][place] for place in places],
        "columns": [confusion["columns"][place] for place in columns],
        "cells": [[confusion["matrix"][row][column] for column in columns] for row in places],
    }


def confusion_picture(confusion: Mapping[str, Any]) -> bytes:
    """The matrix as a PNG, as `met` has it."""
    shown = met(confusion)
    title = "Missed, and what was said instead"
    return heatmap(shown["cells"], shown["rows"], shown["columns"], title=title, axes_names=("struck", "said"))


def watched_pair(
    matrix: NDArray[np.int64],
    struck: NDArray[np.int64],
    classes: Sequence[str],
    one: Sequence[str],
    other: Sequence[str],
) -> dict[str, Any]:
    """How often two groups of components are taken for each other.

    Returns:
        `first_as_second`, `second_as_first`: counts; `struck`: strokes of both; `rate`: confusions per stroke.
    """
    first, second = _members(classes, one), _members(classes, other)
    forth = int(matrix[np.ix_(first, second)].sum())
    back = int(matrix[np.ix_(second, first)].sum())
    strokes = int(struck[first].sum() + struck[second].sum())
    return {
        "first_as_second": forth,
        "second_as_first": back,
        "struck": strokes,
        "rate": ratio(forth + back, strokes),
    }


def _members(classes: Sequence[str], names: Sequence[str]) -> list[int]:
    """Columns of the labels named; `snare` also finds the `snare_center` of the extended set."""
    whole = {name for name in names if not name.endswith("_")} | {f"{name}_center" for name in names}
    starts = tuple(name for name in names if name.endswith("_"))
    return [column for column, label in enumerate(classes) if label in whole or (starts and label.startswith(starts))]


def _worst(matrix: NDArray[np.int64], struck: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    between = matrix[:, :-1]
    order = np.argsort(-between, axis=None, kind="stable")[:10]
    cells = [divmod(int(place), len(classes)) for place in order]
    return [
        {
            "struck": classes[row],
            "said": classes[column],
            "count": int(between[row, column]),
            "rate": ratio(float(between[row, column]), float(struck[row])),
        }
        for row, column in cells
        if between[row, column] > 0
    ]

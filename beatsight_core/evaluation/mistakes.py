"""The most confident mistakes: where the model was surest and the labels say otherwise.

A component's mistake counts by how sure it was: invented with probability p counts p, missed counts 1 - p. A hit's
mistake is that of its worst component.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from beatsight_core.evaluation.predictions import Predictions

TOP, TOP_PER_CLASS = 50, 4

_SHOWN = ("hit_id", "session_id", "source_set", "audio_path", "onset_time")


def top_mistakes(predictions: Predictions, top: int = TOP) -> list[dict[str, Any]]:
    """The hits that were got wrong with the most confidence, surest first.

    Args:
        predictions: Their `hits` also have `audio_path` and `onset_time`.
        top: How many at most.

    Returns:
        Rows of `mistake_row`, each of its hit's worst component.
    """
    confidence = wrong_confidence(predictions)
    worst = confidence.max(axis=1, initial=-1.0)
    order = np.argsort(-worst, kind="stable")[:top]
    return [mistake_row(predictions, int(row), int(confidence[row].argmax())) for row in order if worst[row] >= 0]


def mistakes_by_class(predictions: Predictions, top: int = TOP_PER_CLASS) -> dict[str, list[dict[str, Any]]]:
    """For each component the hits on which it was invented or missed with the most confidence, surest first.

    Args:
        predictions: Their `hits` also have `audio_path` and `onset_time`.
        top: How many of each component at most.

    Returns:
        {label: rows of `mistake_row`} in class order; a component without a mistake is left out.
    """
    confidence = wrong_confidence(predictions)
    found = {}
    for column, label in enumerate(predictions.classes):
        order = np.argsort(-confidence[:, column], kind="stable")[:top]
        rows = [mistake_row(predictions, int(row), column) for row in order if confidence[row, column] >= 0]
        if rows:
            found[label] = rows
    return found


def wrong_confidence(predictions: Predictions) -> NDArray[np.float32]:
    """(N, C) how sure each wrong statement was: p where invented, 1 - p where missed, -1 where it was right."""
    said, sure = predictions.said, predictions.probabilities
    confidence: NDArray[np.float32] = np.where(
        said != predictions.struck, np.where(said, sure, 1 - sure), np.float32(-1)
    )
    return confidence


def mistake_row(predictions: Predictions, row: int, column: int) -> dict[str, Any]:
    """What is told of a mistake, JSON-safe.

    Returns:
        row (place among the hits), hit_id, session_id, source_set, audio_path, onset_time (s), labels, said,
        component, kind ("missed" or "invented"), probability, confidence, probabilities {label: p} of all labels
        struck or said.
    """
    said, struck = predictions.said[row], predictions.struck[row]
    sure = predictions.probabilities[row]
    return {
        "row": row,
        **{name: predictions.hits[name][row] for name in _SHOWN},
        "labels": [predictions.classes[place] for place in np.flatnonzero(struck)],
        "said": [predictions.classes[place] for place in np.flatnonzero(said)],
        "component": predictions.classes[column],
        "kind": "invented" if said[column] else "missed",
        "probability": float(sure[column]),
        "confidence": float(sure[column] if said[column] else 1 - sure[column]),
        "probabilities": {predictions.classes[place]: float(sure[place]) for place in np.flatnonzero(struck | said)},
    }

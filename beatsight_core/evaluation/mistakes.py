"""The most confident mistakes: where the model was surest and the labels say otherwise.

A mistake on a hit is its worst component: invented with probability p counts p, missed counts 1 - p.
"""

from typing import Any

import numpy as np

from beatsight_core.evaluation.predictions import Predictions

TOP = 50

_SHOWN = ("hit_id", "session_id", "source_set", "audio_path", "onset_time")


def top_mistakes(predictions: Predictions, top: int = TOP) -> list[dict[str, Any]]:
    """The hits that were got wrong with the most confidence, surest first.

    Args:
        predictions: Their `hits` also have `audio_path` and `onset_time`.
        top: How many at most.

    Returns:
        JSON-safe rows: row (place among the hits), hit_id, session_id, source_set, audio_path, onset_time (s), labels,
        said, component, kind ("missed" or "invented"), probability, confidence, probabilities {label: p} of all labels
        struck or said.
    """
    said, struck = predictions.said, predictions.struck
    wrong = said != struck
    confidence = np.where(wrong, np.where(said, predictions.probabilities, 1 - predictions.probabilities), -1.0)
    worst = confidence.max(axis=1, initial=-1.0)
    order = np.argsort(-worst, kind="stable")[:top]
    return [_row(predictions, int(row), int(confidence[row].argmax())) for row in order if wrong[row].any()]


def _row(predictions: Predictions, row: int, column: int) -> dict[str, Any]:
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

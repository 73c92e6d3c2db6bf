"""The most confident mistakes: where the model was surest and the labels say otherwise.

A component's mistake counts by how sure it was: invented with probability p counts p, missed counts 1 - p. A hit's
mistake is that of its worst component.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beatsight_core.evaluation.predictions import Predictions

TOP, TOP_PER_CLASS = 50, 4


@dataclass(frozen=True, slots=True)
class Mistake:
    """A hit that was got wrong.

    Attributes:
        row: Place of the hit among those evaluated.
        hit_id: Id of the hit.
        session_id: Session of the hit.
        source_set: Source set of the session.
        audio_path: Path of the audio, relative to the source set's folder.
        onset_time: Onset within the audio, in seconds.
        labels: Components of the reference.
        said: Components predicted, under the key of the first format.
        component: Component that the mistake is in.
        kind: Kind of mistake: "missed", or "invented" for a wrong prediction.
        probability: Probability of the component.
        confidence: Confidence of the mistake: the probability where invented, 1 - probability where missed.
        probabilities: Label -> probability, of all labels in the reference or predicted.
    """

    row: int
    hit_id: str
    session_id: str
    source_set: str
    audio_path: str
    onset_time: float
    labels: tuple[str, ...]
    said: tuple[str, ...]
    component: str
    kind: str
    probability: float
    confidence: float
    probabilities: Mapping[str, float]


def top_mistakes(predictions: Predictions, top: int = TOP) -> list[Mistake]:
    """Return the hits that were got wrong with the most confidence, surest first, by each hit's worst component.

    Args:
        predictions: Predictions whose `hits` also have `audio_path` and `onset_time`.
        top: Number of hits at most.
    """
    confidence = wrong_confidence(predictions)
    worst = confidence.max(axis=1, initial=-1.0)
    order = np.argsort(-worst, kind="stable")[:top]
    return [mistake_at(predictions, int(row), int(confidence[row].argmax())) for row in order if worst[row] >= 0]


def mistakes_by_class(predictions: Predictions, top: int = TOP_PER_CLASS) -> dict[str, list[Mistake]]:
    """Return for each component the hits on which it was invented or missed with the most confidence, surest first.

    Args:
        predictions: Predictions whose `hits` also have `audio_path` and `onset_time`.
        top: Number of hits of each component at most.

    Returns:
        {label: mistakes} in class order; a component without a mistake is left out.
    """
    confidence = wrong_confidence(predictions)
    found = {}
    for column, label in enumerate(predictions.classes):
        order = np.argsort(-confidence[:, column], kind="stable")[:top]
        rows = [mistake_at(predictions, int(row), column) for row in order if confidence[row, column] >= 0]
        if rows:
            found[label] = rows
    return found


def wrong_confidence(predictions: Predictions) -> NDArray[np.float32]:
    """Return (N, C) how sure each mistake was: p where invented, 1 - p where missed, -1 where it was right."""
    predicted, sure = predictions.predicted, predictions.probabilities
    confidence: NDArray[np.float32] = np.where(
        predicted != predictions.reference, np.where(predicted, sure, 1 - sure), np.float32(-1)
    )
    return confidence


def mistake_at(predictions: Predictions, row: int, column: int) -> Mistake:
    """Return a mistake.

    Args:
        predictions: Predictions whose `hits` also have `audio_path` and `onset_time`.
        row: Place of the hit.
        column: Place of the component.
    """
    predicted, reference = predictions.predicted[row], predictions.reference[row]
    sure, hit = predictions.probabilities[row], predictions.hits.row(row, named=True)
    classes = predictions.classes
    return Mistake(
        row=row,
        hit_id=hit["hit_id"],
        session_id=hit["session_id"],
        source_set=hit["source_set"],
        audio_path=hit["audio_path"],
        onset_time=hit["onset_time"],
        labels=tuple(classes[place] for place in np.flatnonzero(reference)),
        said=tuple(classes[place] for place in np.flatnonzero(predicted)),
        component=classes[column],
        kind="invented" if predicted[column] else "missed",
        probability=float(sure[column]),
        confidence=float(sure[column] if predicted[column] else 1 - sure[column]),
        probabilities={classes[place]: float(sure[place]) for place in np.flatnonzero(reference | predicted)},
    )

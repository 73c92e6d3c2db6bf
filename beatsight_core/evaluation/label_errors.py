"""Likely label errors: where the model is confident that a label is wrong, and was so at each of its last checkpoints.

Confidence means something only where the model knows a component. That it hears one counts if, of the hits at which it
does so with that confidence, `TRUSTED` are labelled so; that it does not hear one counts if it finds `TRUSTED` of those
that are labelled.

They are for a person to listen to. Nothing here changes a label: a model that mends its own labels learns its own
mistakes.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from beatsight_core.errors import ModelError
from beatsight_core.evaluation.mistakes import Mistake, mistake_at, wrong_confidence
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.features.cache import Features
from beatsight_core.files import sha256_file
from beatsight_core.progress import Progress
from beatsight_core.runs.records import Run

CONFIDENT = 0.9
"""Probability, of a component or of its absence, from which a statement counts as confident."""

TRUSTED = 0.7
"""Share of a component's hits that the model has to be right about to be believed where the labels say otherwise."""

MOST_ASKED = 500
"""The other checkpoints are asked about so many hits at most, the surest mistakes first: more than a person hears."""

BEST = "best"

logger = logging.getLogger("beatsight")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement about a component that every checkpoint makes against the labels.

    Attributes:
        component: Label of the component.
        kind: Kind of mistake that it would be: "missed" or "invented".
        confidence: Checkpoint -> its confidence.
    """

    component: str
    kind: str
    confidence: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LikelyError(Mistake):
    """A hit whose labels are likely wrong; its `confidence` is the least of all checkpoints in the surest statement.

    Attributes:
        statements: Statements against the labels.
        suggested: Labels, were all statements true.
    """

    statements: tuple[Statement, ...]
    suggested: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelErrors:
    """What was found of likely label errors.

    Attributes:
        confident: Confidence from which a mistake counts as confident.
        checkpoints: Name -> digest of the checkpoints that were asked beside the best.
        asked: Number of hits that they were asked about.
        suspects: Likely errors, surest first. Without another checkpoint there are none: nothing can be consistent.
    """

    confident: float
    checkpoints: Mapping[str, str]
    asked: int
    suspects: tuple[LikelyError, ...]


def find_label_errors(
    trained: Run,
    predictions: Predictions,
    features: Features,
    rows: NDArray[np.int64],
    device: str,
    progress: Progress,
) -> LabelErrors:
    """Ask the last checkpoints of a run about its confident mistakes.

    Args:
        trained: Run whose last checkpoints are read.
        predictions: Predictions of its best weights on the rows.
        features: Cache of features.
        rows: Rows of the cache.
        device: Device that the checkpoints are asked on.
        progress: Receives the number of checkpoints asked.
    """
    asked = confident_mistakes(predictions)
    answers, digests = _answers(trained, features, rows[asked], device, progress)
    suspects = agreed(predictions, asked, answers) if answers else []
    return LabelErrors(CONFIDENT, digests, len(asked), tuple(suspects))


def confident_mistakes(predictions: Predictions, most: int = MOST_ASKED) -> NDArray[np.intp]:
    """Return places of the hits with a confident mistake in a component that the model knows, the surest first."""
    worst = _doubts(predictions).max(axis=1, initial=-1.0)
    order: NDArray[np.intp] = np.argsort(-worst, kind="stable")[:most]
    confident: NDArray[np.intp] = order[worst[order] >= CONFIDENT]
    return confident


def _doubts(predictions: Predictions) -> NDArray[np.float32]:
    """Return (N, C) the confidence of each confident mistake that is to be believed, -1 elsewhere."""
    reference, predicted = predictions.reference, predictions.predicted
    surely = predictions.probabilities >= CONFIDENT
    heard = _mostly((surely & reference).sum(axis=0), surely.sum(axis=0))
    found = _mostly((predicted & reference).sum(axis=0), reference.sum(axis=0))
    confidence = wrong_confidence(predictions)
    believed: NDArray[np.float32] = np.where(
        (confidence >= CONFIDENT) & np.where(predicted, heard, found), confidence, np.float32(-1)
    )
    return believed


def _mostly(right: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (C,) whether the model is right about enough of a component's hits; without any it is not known to be."""
    enough: NDArray[np.bool_] = (whole > 0) & (right >= TRUSTED * whole)
    return enough


def agreed(
    predictions: Predictions, asked: NDArray[np.intp], answers: Mapping[str, NDArray[np.float32]]
) -> list[LikelyError]:
    """Return the hits at which every checkpoint is confident that the labels are wrong, in the same way; surest first.

    Args:
        predictions: Predictions of the best weights.
        asked: Places among their hits.
        answers: Checkpoint -> its probabilities, (len(asked), C).
    """
    best = predictions.probabilities[asked]
    doubted = _doubts(predictions)[asked] >= CONFIDENT
    invented = predictions.predicted[asked]
    names = (BEST, *answers)
    confidence = np.stack([np.where(invented, sure, 1 - sure) for sure in (best, *answers.values())])
    least = np.where(doubted, confidence.min(axis=0), -1.0)
    suspects = []
    for number in np.flatnonzero((least >= CONFIDENT).any(axis=1)):
        columns = np.flatnonzero(least[number] >= CONFIDENT)
        surest = int(columns[least[number, columns].argmax()])
        mistake = mistake_at(predictions, int(asked[number]), surest)
        statements = tuple(
            Statement(
                component=predictions.classes[column],
                kind="invented" if invented[number, column] else "missed",
                confidence=dict(zip(names, confidence[:, number, column].tolist(), strict=True)),
            )
            for column in columns
        )
        suggested = predictions.reference[asked[number]].copy()
        suggested[columns] = invented[number, columns]
        labels = tuple(predictions.classes[column] for column in np.flatnonzero(suggested))
        suspects.append(_likely(replace(mistake, confidence=float(least[number, surest])), statements, labels))
    return sorted(suspects, key=lambda suspect: -suspect.confidence)


def _likely(mistake: Mistake, statements: tuple[Statement, ...], suggested: tuple[str, ...]) -> LikelyError:
    known = {field.name: getattr(mistake, field.name) for field in fields(Mistake)}
    return LikelyError(**known, statements=statements, suggested=suggested)


def _answers(
    trained: Run, features: Features, rows: NDArray[np.int64], device: str, progress: Progress
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Return probabilities of rows of the cache by every other checkpoint that is whole, and their digests."""
    from beatsight_core.evaluation.predict import Predictor, other_checkpoints

    answers, digests = {}, {}
    spectrograms = features.read(rows)
    paths = other_checkpoints(trained)
    with progress.task("ask the other checkpoints", len(paths), "checkpoints") as task:
        for path in paths:
            try:
                answers[path.stem] = Predictor.of_checkpoint(trained, path, device).predict(spectrograms)
                digests[path.stem] = sha256_file(path)
            except ModelError as error:
                logger.warning("a checkpoint is not asked about labels: %s", error)
            task.advance()
    return answers, digests

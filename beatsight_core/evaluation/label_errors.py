"""Likely label errors: where the model is confident that a label is wrong, and was so at each of its kept checkpoints.

Confidence means something only where the model knows a component. That it hears one counts if, of the hits at which it
does so with that confidence, `TRUSTED` are labelled so; that it does not hear one counts if it finds `TRUSTED` of those
that are labelled.

They are for a person to listen to. Nothing here changes a label: a model that mends its own labels learns its own
mistakes.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beatsight_core.errors import ModelError
from beatsight_core.evaluation.mistakes import mistake_row, wrong_confidence
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.features.cache import Features
from beatsight_core.files import sha256_file
from beatsight_core.progress import Progress
from beatsight_core.runs.records import Run

CONFIDENT = 0.9
"""Probability, of being struck or of not being struck, from which a statement counts as confident."""

TRUSTED = 0.7
"""Share of a component's hits that the model has to be right about to be believed where the labels say otherwise."""

MOST_ASKED = 500
"""The other checkpoints are asked about so many hits at most, the surest mistakes first: more than a person hears."""

BEST = "best"

logger = logging.getLogger("beatsight")


def find_label_errors(
    trained: Run,
    predictions: Predictions,
    features: Features,
    rows: NDArray[np.int64],
    device: str,
    progress: Progress,
) -> dict[str, Any]:
    """Ask the other checkpoints of a run about its confident mistakes.

    Args:
        trained: The run; the ring of its checkpoints is read.
        predictions: Of its best weights, on
        features: rows of this cache:
        rows: these.
        device: Where the checkpoints are asked.
        progress: Hears of checkpoints.

    Returns:
        JSON-safe: `confident` (the limit), `checkpoints` {name: digest} that were asked beside the best, `asked`
        (hits), `suspects` as `agreed` has them. Without another checkpoint there are none: nothing can be consistent.
    """
    asked = confident_mistakes(predictions)
    answers, digests = _answers(trained, features, rows[asked], device, progress)
    return {
        "confident": CONFIDENT,
        "checkpoints": digests,
        "asked": len(asked),
        "suspects": agreed(predictions, asked, answers) if answers else [],
    }


def confident_mistakes(predictions: Predictions, most: int = MOST_ASKED) -> NDArray[np.intp]:
    """Places of the hits with a confident mistake in a component that the model knows, the surest first."""
    worst = _doubts(predictions).max(axis=1, initial=-1.0)
    order: NDArray[np.intp] = np.argsort(-worst, kind="stable")[:most]
    confident: NDArray[np.intp] = order[worst[order] >= CONFIDENT]
    return confident


def _doubts(predictions: Predictions) -> NDArray[np.float32]:
    """(N, C) the confidence of each confident mistake that is to be believed, -1 elsewhere."""
    struck, said = predictions.struck, predictions.said
    surely = predictions.probabilities >= CONFIDENT
    heard = _mostly((surely & struck).sum(axis=0), surely.sum(axis=0))
    found = _mostly((said & struck).sum(axis=0), struck.sum(axis=0))
    confidence = wrong_confidence(predictions)
    believed: NDArray[np.float32] = np.where(
        (confidence >= CONFIDENT) & np.where(said, heard, found), confidence, np.float32(-1)
    )
    return believed


def _mostly(right: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(C,) whether the model is right about enough of a component's hits; without any it is not known to be."""
    enough: NDArray[np.bool_] = (whole > 0) & (right >= TRUSTED * whole)
    return enough


def agreed(
    predictions: Predictions, asked: NDArray[np.intp], answers: Mapping[str, NDArray[np.float32]]
) -> list[dict[str, Any]]:
    """The hits at which every checkpoint is confident that the labels are wrong, and in the same way.

    Args:
        predictions: Of the best weights.
        asked: Places among their hits.
        answers: For each other checkpoint (len(asked), C) probabilities.

    Returns:
        What `mistakes.mistake_row` tells of the hit and of the surest statement, with `statements` (component, kind,
        and `confidence` by checkpoint), `suggested` (the labels, were they all true), and `confidence`: the least of
        all checkpoints in the surest statement. Surest first.
    """
    best = predictions.probabilities[asked]
    doubted = _doubts(predictions)[asked] >= CONFIDENT
    invented = predictions.said[asked]
    names = (BEST, *answers)
    confidence = np.stack([np.where(invented, sure, 1 - sure) for sure in (best, *answers.values())])
    least = np.where(doubted, confidence.min(axis=0), -1.0)
    suspects = []
    for number in np.flatnonzero((least >= CONFIDENT).any(axis=1)):
        columns = np.flatnonzero(least[number] >= CONFIDENT)
        surest = int(columns[least[number, columns].argmax()])
        row = mistake_row(predictions, int(asked[number]), surest)
        statements = [
            {
                "component": predictions.classes[column],
                "kind": "invented" if invented[number, column] else "missed",
                "confidence": dict(zip(names, confidence[:, number, column].tolist(), strict=True)),
            }
            for column in columns
        ]
        suggested = predictions.struck[asked[number]].copy()
        suggested[columns] = invented[number, columns]
        suspects.append(
            {
                **row,
                "confidence": float(least[number, surest]),
                "statements": statements,
                "suggested": [predictions.classes[column] for column in np.flatnonzero(suggested)],
            }
        )
    return sorted(suspects, key=lambda row: -row["confidence"])


def _answers(
    trained: Run, features: Features, rows: NDArray[np.int64], device: str, progress: Progress
) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Probabilities of rows of the cache by every other checkpoint that is whole, and their digests."""
    from beatsight_core.evaluation.predict import Predictor, other_checkpoints

    answers, digests = {}, {}
    pictures = features.read(rows)
    paths = other_checkpoints(trained)
    with progress.task("ask the other checkpoints", len(paths), "checkpoints") as task:
        for path in paths:
            try:
                answers[path.stem] = Predictor.of_checkpoint(trained, path, device).predict(pictures)
                digests[path.stem] = sha256_file(path)
            except ModelError as error:
                logger.warning("a checkpoint is not asked about labels: %s", error)
            task.advance()
    return answers, digests

"""Comparison of a run with its rivals on the very same hits: what got better, what got worse."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beatsight_core.errors import BeatSightError, ModelError
from beatsight_core.evaluation.compare_models import ModelChange, RivalComparison, compare_predictions
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.evaluation.rivals import ASKED_FOR, Rival
from beatsight_core.evaluation.stored import stored_predictions
from beatsight_core.features.cache import Features
from beatsight_core.progress import Progress
from beatsight_core.settings import Settings


def compare_with_rivals(
    settings: Settings,
    rivals: Sequence[Rival],
    predictions: Predictions,
    features: Features,
    rows: NDArray[np.int64],
    device: str,
    progress: Progress,
) -> tuple[RivalComparison, ...]:
    """Compare a run with each rival.

    Args:
        settings: Settings that say where evaluations lie, whose predictions are used again.
        rivals: Models to compare with.
        predictions: Predictions of the run on the rows.
        features: Cache of features.
        rows: Rows of the cache.
        device: Device on which a rival is asked that nobody has asked before.
        progress: Receives the number of clips processed.

    Raises:
        BeatSightError: A rival that was asked for cannot be compared.
    """
    compared = []
    for rival in rivals:
        change: ModelChange | None = None
        why_not = None
        try:
            theirs = _predictions_of(settings, rival, features, rows, device, progress)
            change = compare_predictions(theirs, predictions)
        except BeatSightError as error:
            if ASKED_FOR in rival.roles:
                raise
            why_not = error.what
        same_data = rival.digests["dataset"] == features.dataset_digest
        compared.append(RivalComparison(rival.roles, rival.name, same_data, change, why_not))
    return tuple(compared)


def _predictions_of(
    settings: Settings, rival: Rival, features: Features, rows: NDArray[np.int64], device: str, progress: Progress
) -> Predictions:
    """Return predictions of a rival for rows of the cache, of the components that the cache knows too.

    Raises:
        ModelError: The rival was trained on other features than these, or is broken.
    """
    stored = stored_predictions(settings, rival.run_id, rival.answers, features, rows)
    if stored is not None:
        return stored
    from beatsight_core.evaluation.predict import Predictor

    predictor = Predictor.load(rival.source, device)
    if predictor.spec.digest != features.spec.digest:
        raise ModelError(
            f"{rival.name} hears other features than these",
            why="and it was not evaluated on this dataset while settings asked for its own",
            do="set [features] and [dataset] back and evaluate it, then evaluate again",
        )
    known = [column for column, label in enumerate(predictor.classes) if label in features.classes]
    return Predictions(
        classes=tuple(predictor.classes[column] for column in known),
        thresholds=predictor.thresholds[known],
        hits=features.meta[rows],
        probabilities=predictor.predict_rows(features, rows, progress)[:, known],
        targets=features.targets[rows][:, [features.classes.index(predictor.classes[column]) for column in known]],
    )

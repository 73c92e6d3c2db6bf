"""A run and its rivals on the very same hits: what got better, what got worse, which confusions grew or shrank."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beatsight_core.errors import BeatSightError, ModelError
from beatsight_core.evaluation.compare_models import compare_predictions
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
) -> list[dict[str, Any]]:
    """Compare a run with each rival.

    Args:
        settings: Say where evaluations lie, whose predictions are used again.
        rivals: Whom to compare with.
        predictions: The run's, on
        features: rows of this cache:
        rows: these.
        device: Where a rival is asked that nobody has asked before.
        progress: Hears of clips.

    Returns:
        For each rival roles, name, `same_data` (whether it learned from this very dataset; if not, it may have learned
        from hits that are validated here), and `change`, see `compare_predictions`, with the rival before and the run
        after; or None, and `why_not` says why.

    Raises:
        BeatSightError: A rival that was asked for cannot be compared.
    """
    told = []
    for rival in rivals:
        change: Mapping[str, Any] | None = None
        why_not = None
        try:
            theirs = _predictions_of(settings, rival, features, rows, device, progress)
            change = compare_predictions(theirs, predictions)
        except BeatSightError as error:
            if ASKED_FOR in rival.roles:
                raise
            why_not = error.what
        told.append(
            {
                "roles": list(rival.roles),
                "name": rival.name,
                "same_data": rival.digests["dataset"] == features.dataset_digest,
                "change": change,
                "why_not": why_not,
            }
        )
    return told


def _predictions_of(
    settings: Settings, rival: Rival, features: Features, rows: NDArray[np.int64], device: str, progress: Progress
) -> Predictions:
    """What a rival says about rows of the cache, of the components that the cache knows too.

    Raises:
        ModelError: It hears other features than these, or is broken.
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

"""A candidate's protected components against the champion's: on the same hits if both hear the same features."""

from pathlib import Path
from typing import Any

from beatsight_core.evaluation.compare_models import compare_predictions
from beatsight_core.evaluation.evaluate import METRICS
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.features.cache import Features
from beatsight_core.files import read_json
from beatsight_core.gates.release_limits import PROTECTED
from beatsight_core.promotion import criteria
from beatsight_core.promotion.criteria import Criterion
from beatsight_core.promotion.matching import are_of_val


def against_champion(
    folder: Path | None, version: int | None, candidate: Predictions, features: Features, device: str
) -> Criterion:
    """The criterion `no_class_worse`.

    Args:
        folder: The champion's version, verified; None if there is no champion.
        version: Its number.
        candidate: What the candidate says about the validation hits.
        features: Of these hits.
        device: Where the champion is asked.
    """
    if folder is None or version is None:
        return criteria.no_class_worse({}, None)
    from beatsight_core.evaluation.predict import Predictor

    labels = [label for name in PROTECTED if (label := criteria.protected_label(name, candidate.classes))]
    champion = Predictor.load(folder, device)
    alike = champion.spec.digest == features.spec.digest and champion.classes == candidate.classes
    if not alike or not are_of_val(candidate, features):
        return criteria.no_class_worse(against_figures(folder, candidate), f"version {version} as evaluated")
    theirs = Predictions(
        classes=champion.classes,
        thresholds=champion.thresholds,
        hits=candidate.hits,
        probabilities=champion.predict_rows(features, features.rows_of("val")),
        targets=candidate.targets,
    )
    change = compare_predictions(theirs, candidate)
    return criteria.no_class_worse({label: change["f1"][label] for label in labels}, f"version {version} (same hits)")


def against_figures(folder: Path, candidate: Predictions) -> dict[str, dict[str, Any]]:
    """Differences from the figures and intervals that a champion of other features was promoted with.

    A protected component may be spelt otherwise by the champion's taxonomy; it is the same drum.

    Args:
        folder: The champion's version.
        candidate: What the candidate says about its validation hits.
    """
    theirs = read_json(folder / METRICS)["intervals"]["f1"]
    ours = candidate.metrics()["per_class"]
    changes: dict[str, dict[str, Any]] = {}
    for name in PROTECTED:
        label, spelling = criteria.protected_label(name, ours), criteria.protected_label(name, theirs)
        if label is None:  # its F1 is a criterion of its own, which fails
            continue
        interval, value = theirs[spelling] if spelling else None, ours[label]["f1"]
        if interval is None or interval["value"] is None or value is None:
            changes[label] = {"difference": None, "low": None, "high": None}
            continue
        low, high = (interval[end] if interval[end] is not None else interval["value"] for end in ("low", "high"))
        changes[label] = {"difference": value - interval["value"], "low": value - high, "high": value - low}
    return changes

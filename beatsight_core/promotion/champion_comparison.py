"""A candidate's protected components against the champion's: on the same hits if both hear the same features."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.evaluation.bootstrap import Interval
from beatsight_core.evaluation.compare_models import Change, compare_predictions
from beatsight_core.evaluation.evaluate import METRICS
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.features.cache import Features
from beatsight_core.files import read_json
from beatsight_core.promotion.matching import are_of_val
from beatsight_core.taxonomy import PROTECTED, TAXONOMIES
from beatsight_core.typed_json import from_json


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of a figure from one that was measured on other features.

    Attributes:
        difference: Difference; None where one of the two was not measured.
        low: Lower end of its interval.
        high: Upper end of its interval.
    """

    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class ChampionChanges:
    """A candidate's protected components against the champion's.

    Attributes:
        compared_with: Name of the champion in messages; None before the first.
        f1: Protected label -> difference of its F1, with the ends of its interval.
    """

    compared_with: str | None
    f1: Mapping[str, Change | Difference]


def against_champion(
    folder: Path | None, version: int | None, candidate: Predictions, features: Features, device: str
) -> ChampionChanges:
    """Compare a candidate with the champion: on the same hits where both hear the same features, else by figures.

    Args:
        folder: Folder of the champion's version, verified; None if there is no champion.
        version: Number of that version.
        candidate: Answers of the candidate about the validation hits.
        features: Features of these hits.
        device: Device that the champion is asked on.
    """
    if folder is None or version is None:
        return ChampionChanges(None, {})
    from beatsight_core.evaluation.predict import Predictor

    labels = [label for name in PROTECTED if (label := protected_label(name, candidate.classes))]
    champion = Predictor.load(folder, device)
    alike = champion.spec.digest == features.spec.digest and champion.classes == candidate.classes
    if not alike or not are_of_val(candidate, features):
        return ChampionChanges(f"version {version} as evaluated", against_figures(folder, candidate))
    theirs = Predictions(
        classes=champion.classes,
        thresholds=champion.thresholds,
        hits=candidate.hits,
        probabilities=champion.predict_rows(features, features.rows_of("val")),
        targets=candidate.targets,
    )
    change = compare_predictions(theirs, candidate)
    return ChampionChanges(f"version {version} (same hits)", {label: change.f1[label] for label in labels})


def protected_label(label: str, classes: Iterable[str]) -> str | None:
    """Return a protected component as these classes spell it, or None if they lack it."""
    known = set(classes)
    spellings = [label, *(spelling for taxonomy in TAXONOMIES.values() if (spelling := taxonomy.resolve(label)))]
    return next((spelling for spelling in spellings if spelling in known), None)


def against_figures(folder: Path, candidate: Predictions) -> dict[str, Difference]:
    """Return differences from the figures and intervals that a champion of other features was promoted with.

    A protected component may be spelt otherwise by the champion's taxonomy; it is the same drum.

    Args:
        folder: Folder of the champion's version.
        candidate: Predictions of the candidate for its validation hits.
    """
    path = folder / METRICS
    theirs = from_json(dict[str, Interval], read_json(path)["intervals"]["f1"], path)
    ours = candidate.metrics().per_class
    changes = {}
    for name in PROTECTED:
        label, spelling = protected_label(name, ours), protected_label(name, theirs)
        if label is None:  # its F1 is a criterion of its own, which fails
            continue
        interval, value = theirs[spelling] if spelling else None, ours[label].f1
        if interval is None or interval.value is None or value is None:
            changes[label] = Difference()
            continue
        low, high = (end if end is not None else interval.value for end in (interval.low, interval.high))
        changes[label] = Difference(value - interval.value, value - high, value - low)
    return changes

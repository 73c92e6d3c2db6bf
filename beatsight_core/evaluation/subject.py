"""The subject of an evaluation: the run that is judged, the hits, and the identity that follows from both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.evaluation.finding import digests_of
from beatsight_core.evaluation.slices import SEED, HitSelection
from beatsight_core.features.cache import Features, open_features
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import digest_json
from beatsight_core.runs.records import Run, how_to_finish
from beatsight_core.settings import Settings
from beatsight_core.typed_json import to_json

FORMAT = 2
"""Grows when an evaluation says other things, so that it is made again."""


@dataclass(frozen=True, slots=True)
class RivalIdentity:
    """The part of a rival that enters an evaluation's identity.

    Attributes:
        roles: Roles of the rival.
        name: Name of the rival.
        checkpoint: Digest of its checkpoint.
        thresholds: Digest of its thresholds.
    """

    roles: tuple[str, ...]
    name: str
    checkpoint: str
    thresholds: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationIdentity:
    """Everything that determines the numbers of an evaluation, and its id. Earlier formats lack some of it.

    Attributes:
        format: Format of the evaluation.
        run_id: Id of the run.
        preset: Preset of the run.
        trained_on: Key of the manifest that the run learned from.
        on: Key of the manifest that it is evaluated on.
        split: Split of the hits.
        fraction: Share of the split; None is all of it.
        seed: Seed of the share.
        classes: Labels in class order.
        thresholds: Label -> probability from which the component is predicted.
        digests: Digests of checkpoint, dataset, spec and thresholds.
        compared_with: Rivals that the run is compared with.
        evaluation_id: Name of the evaluation's folder.
    """

    format: int = 0
    run_id: str
    preset: str
    trained_on: str
    on: str
    split: str
    fraction: float | None
    seed: int = SEED
    classes: tuple[str, ...]
    thresholds: Mapping[str, float]
    digests: Mapping[str, str]
    compared_with: tuple[RivalIdentity, ...] = ()
    evaluation_id: str


def require_finished(trained: Run) -> Run:
    """Return the run, if it is finished.

    Raises:
        ModelError: The run is not finished.
    """
    if trained.status != "finished":
        raise ModelError(
            f"Run {trained.run_id} is {trained.status}",
            where=trained.folder,
            do=how_to_finish(trained),
        )
    return trained


def features_for(settings: Settings, trained: Run, key: str) -> Features:
    """Return the features of a dataset as a run needs them.

    Raises:
        DatasetError: The features are missing, or settings ask for other features or components than those that the
            run learned from.
    """
    spec = FeatureSpec.from_settings(settings)
    if spec.digest != trained.spec.digest:
        ours, theirs = spec.to_json(), trained.spec.to_json()
        changed = ", ".join(
            f"{name} is {ours[name]}, was {theirs[name]}" for name in ours if ours[name] != theirs[name]
        )
        raise DatasetError(
            f"Run {trained.run_id} learned from other features than settings ask for",
            where=settings.file,
            why=changed or "the feature code has changed since",
            do="set [features] and [dataset] back, or train again",
        )
    features = open_features(settings, key)
    if features.classes != trained.classes:
        raise DatasetError(
            f"Run {trained.run_id} knows other components than taxonomy {settings.taxonomy!r}",
            do="set `taxonomy` back, or train again",
        )
    return features


def current_digests(trained: Run, features: Features) -> dict[str, str]:
    """Return the digests of what a run's figures belong to: checkpoint, dataset, spec, and thresholds."""
    return digests_of(trained, features.dataset_digest, features.spec)


def learned_hits(settings: Settings, trained: Run, hits: pl.Series) -> int | None:
    """Return how many of these hits a run trained or tuned on: another manifest may hold them, too.

    Args:
        settings: Settings that say where the features that it learned from lie.
        trained: Run that is evaluated.
        hits: Ids of hits, (N,).

    Returns:
        Their number; None where those features are gone.
    """
    try:
        own = open_features(settings, trained.key).meta
    except DatasetError:
        return None
    known = own.filter(pl.col("split") != "val")["hit_id"].cast(pl.String)
    return int(hits.cast(pl.String).is_in(known.implode()).sum())


def identity(
    trained: Run, features: Features, key: str, hits: HitSelection, against: Sequence[RivalIdentity]
) -> EvaluationIdentity:
    """Return everything that determines the numbers of an evaluation, and its id.

    Args:
        trained: Run that is evaluated.
        features: Features of the hits.
        key: Key of their manifest.
        hits: Selection of hits.
        against: Rivals that the run is compared with.
    """
    fraction = hits.fraction if hits.fraction != 1 else None
    unnamed = EvaluationIdentity(
        format=FORMAT,
        run_id=trained.run_id,
        preset=trained.preset,
        trained_on=trained.key,
        on=key,
        split=hits.split,
        fraction=fraction,
        seed=SEED,
        classes=trained.classes,
        thresholds={label: float(value) for label, value in zip(trained.classes, trained.thresholds, strict=True)},
        digests=current_digests(trained, features),
        compared_with=tuple(against),
        evaluation_id="",
    )
    determined_by = {name: value for name, value in to_json(unnamed).items() if name != "evaluation_id"}
    parts = [*([] if key == trained.key else [key]), hits.split, *([f"{fraction:g}"] if fraction else [])]
    return replace(unnamed, evaluation_id="-".join([*parts, digest_json(determined_by)[:8]]))

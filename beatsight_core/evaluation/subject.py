"""What is judged, on what, and the name that follows from both: the identity of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.evaluation.slices import SEED
from beatsight_core.features.cache import Features, open_features
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import digest_json, sha256_file
from beatsight_core.runs.records import Run, how_to_finish
from beatsight_core.settings import Settings

FORMAT = 2
"""Grows when an evaluation says other things, so that it is made again."""


def require_finished(trained: Run) -> Run:
    """The run, if it is finished.

    Raises:
        ModelError: It is not.
    """
    if trained.status != "finished":
        raise ModelError(
            f"Run {trained.run_id} is {trained.status}",
            where=trained.folder,
            do=how_to_finish(trained),
        )
    return trained


def features_for(settings: Settings, trained: Run, key: str) -> Features:
    """The features of a dataset as a run needs them.

    Raises:
        DatasetError: They are missing, or settings ask for other features or components than the run learned from.
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
    """What a run's figures belong to: checkpoint, dataset, spec, and the thresholds they were made with."""
    return digests_of(trained, features.dataset_digest, features.spec)


def learned_hits(settings: Settings, trained: Run, hits: pl.Series) -> int | None:
    """How many of these hits a run trained or tuned on: another manifest may hold them, too.

    Args:
        settings: Say where the features that it learned from lie.
        trained: The run.
        hits: (N,) ids of hits.

    Returns:
        Their number; None where those features are gone.
    """
    try:
        own = open_features(settings, trained.key).meta
    except DatasetError:
        return None
    known = own.filter(pl.col("split") != "val")["hit_id"].cast(pl.String)
    return int(hits.cast(pl.String).is_in(known.implode()).sum())


def digests_of(trained: Run, dataset: str, spec: FeatureSpec) -> dict[str, str]:
    """The same of any dataset and spec, by their digests."""
    return {
        "checkpoint": sha256_file(trained.checkpoint),
        "dataset": dataset,
        "spec": spec.digest,
        "thresholds": digest_json(trained.thresholds.tolist()),
    }


def identity(
    trained: Run, features: Features, key: str, slice_: tuple[str, float | None], against: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """All that determines the numbers of an evaluation, and its id.

    Args:
        trained: The run.
        features: What it is evaluated on.
        key: Of their dataset.
        slice_: Split and fraction.
        against: Whom it is compared with.
    """
    split, fraction = slice_
    determined_by = {
        "format": FORMAT,
        "run_id": trained.run_id,
        "preset": trained.preset,
        "trained_on": trained.key,
        "on": key,
        "split": split,
        "fraction": fraction if fraction != 1 else None,
        "seed": SEED,
        "classes": list(trained.classes),
        "thresholds": {label: float(value) for label, value in zip(trained.classes, trained.thresholds, strict=True)},
        "digests": current_digests(trained, features),
        "compared_with": list(against),
    }
    own = key == trained.key
    parts = [*([] if own else [key]), split, *([f"{fraction:g}"] if determined_by["fraction"] else [])]
    return {**determined_by, "evaluation_id": "-".join([*parts, digest_json(determined_by)[:8]])}

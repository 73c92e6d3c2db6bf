"""The story of an evaluation: open what is to be judged, predict, measure, write the report.

    reports/metrics/<run id>/<evaluation id>/metrics.json        everything that is a number, and the digests
                                             confusion.json/npy  missed components and what was said instead
                                             misclassified.json  the most confident mistakes
                                             predictions.parquet what was said about each hit, to measure again from
                                             report.html         all of it to look at

The evaluation's id is the digest of all that determines its numbers, so a folder is written once, whole, and evaluating
the same again returns it. For the validation split of a run's own dataset `<preset>_confusion.{npy,json}` and
`<preset>_misclassified.json`, the names of the runbook, lie beside the run's folder.
"""

import datetime
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beatsight_core.dataset.index import dataset_key
from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.evaluation.bootstrap import bootstrap_intervals
from beatsight_core.evaluation.breakdown import breakdown
from beatsight_core.evaluation.calibration import calibration
from beatsight_core.evaluation.confusion import confusion
from beatsight_core.evaluation.mistakes import top_mistakes
from beatsight_core.evaluation.page import evaluation_page
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.evaluation.slices import SEED, chosen_rows
from beatsight_core.features.cache import Features, open_features
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import atomic_folder, digest_json, read_json, sha256_file, write_bytes, write_json, write_text
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings
from beatsight_core.training.records import Run, how_to_finish, open_run

FORMAT = 1
METRICS, CONFUSION, MISTAKES, PREDICTIONS, PAGE = (
    "metrics.json",
    "confusion.json",
    "misclassified.json",
    "predictions.parquet",
    "report.html",
)
CONFUSION_MATRIX = "confusion.npy"


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        folder: Where its files lie.
        content: What `metrics.json` says.
        reused: Whether it had been made before.
        seconds: Time it took now.
    """

    folder: Path
    content: dict[str, Any]
    reused: bool
    seconds: float

    @property
    def metrics(self) -> dict[str, Any]:
        """All metrics of the contracts."""
        metrics: dict[str, Any] = self.content["metrics"]
        return metrics

    def to_json(self) -> dict[str, Any]:
        """The numbers and where the files are; the breakdown and curves stay in `report_json`."""
        names = ("run_id", "evaluation_id", "preset", "on", "split", "fraction", "metrics", "intervals", "digests")
        return {
            **{name: self.content[name] for name in names},
            "ece": self.content["calibration"]["ece"],
            "pairs": self.content["pairs"],
            "folder": str(self.folder),
            "report_html": str(self.folder / PAGE),
            "report_json": str(self.folder / METRICS),
            "confusion_json": str(self.folder / CONFUSION),
            "confusion_npy": str(self.folder / CONFUSION_MATRIX),
            "misclassified_json": str(self.folder / MISTAKES),
            "reused": self.reused,
            "seconds": self.seconds,
        }


def evaluate(
    settings: Settings,
    run: str,
    *,
    on: str | Path | None = None,
    split: str = "val",
    fraction: float | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> EvaluationResult:
    """Measure a finished run on labelled hits and write the report.

    Args:
        settings: Say where everything lies.
        run: A run's id, a beginning of one, or "latest".
        on: Another manifest (path or key) than the one it learned from; its features must be there.
        split: "val", or "all" (also "train" and "calibration").
        fraction: A stratified, seeded share of the split.
        device: auto, cpu, cuda or cuda:<n>.
        progress: Hears of clips.

    Raises:
        ModelError: There is no such run, or it is not finished, or its checkpoint is broken.
        DatasetError: Features of those hits are missing; the error says which command makes them.
        UsageError: Split or fraction is none.
    """
    began = time.monotonic()
    trained = require_finished(open_run(settings, run))
    key = trained.key if on is None else dataset_key(settings, on)
    features = features_for(settings, trained, key)
    rows = chosen_rows(features, split, fraction)
    about = _about(trained, features, key, split, fraction)
    folder = settings.metrics_dir / trained.run_id / about["evaluation_id"]
    reused = (folder / METRICS).is_file()
    if not reused:
        predictions = predict_hits(trained, features, rows, device, progress or SilentProgress())
        content = measure(predictions, about)
        _write(folder, content, predictions, features.read(rows[[row["row"] for row in content["mistakes"]]]), trained)
    if on is None and split == "val":
        _write_runbook_names(settings, folder, trained.preset)
    return EvaluationResult(folder, read_evaluation(folder), reused, time.monotonic() - began)


def read_evaluation(folder: Path) -> dict[str, Any]:
    """What an evaluation's `metrics.json` says, components in class order (JSON on disk is sorted by name).

    Raises:
        DatasetError: The file is missing or broken.
    """
    content: dict[str, Any] = read_json(folder / METRICS)
    metrics = content["metrics"]
    for block in (metrics, metrics["solo"], metrics["simultaneous"]):
        block["per_class"] = {label: block["per_class"][label] for label in content["classes"]}
    return content


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


def predict_hits(
    trained: Run, features: Features, rows: NDArray[np.int64], device: str, progress: Progress
) -> Predictions:
    """What a run says about rows of the cache."""
    from beatsight_core.evaluation.predict import Predictor

    predictor = Predictor.load(trained, device)
    return Predictions(
        classes=predictor.classes,
        thresholds=predictor.thresholds,
        hits=features.meta[rows],
        probabilities=predictor.predict_rows(features, rows, progress),
        targets=features.targets[rows],
    )


def measure(predictions: Predictions, about: dict[str, Any]) -> dict[str, Any]:
    """Everything that is said of an evaluation, JSON-safe; `about` comes first."""
    told = confusion(predictions)
    return {
        **about,
        "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "metrics": predictions.metrics(),
        "intervals": bootstrap_intervals(predictions),
        "calibration": calibration(predictions),
        "breakdown": breakdown(predictions),
        "pairs": told["pairs"],
        "confusion": told,
        "mistakes": top_mistakes(predictions),
    }


def find_evaluation(settings: Settings, trained: Run) -> Path | None:
    """The evaluation of a run on the whole validation split of its own dataset that promotion judges.

    The newest of those that belong to the run's checkpoint, thresholds, dataset and spec; if none does, the newest.
    """
    made = []
    for path in (settings.metrics_dir / trained.run_id).glob(f"val-*/{METRICS}"):
        content = read_json(path)
        if content["on"] == trained.key and content["split"] == "val" and content["fraction"] is None:
            made.append((content["digests"], content["made_at"], path.parent))
    if not made:
        return None
    own = _digests(trained, trained.dataset_digest, trained.spec)
    return max((own.items() <= digests.items(), made_at, folder) for digests, made_at, folder in made)[2]


def current_digests(trained: Run, features: Features) -> dict[str, str]:
    """What a run's figures belong to: checkpoint, dataset, spec, and the thresholds they were made with."""
    return _digests(trained, features.dataset_digest, features.spec)


def _digests(trained: Run, dataset: str, spec: FeatureSpec) -> dict[str, str]:
    return {
        "checkpoint": sha256_file(trained.checkpoint),
        "dataset": dataset,
        "spec": spec.digest,
        "thresholds": digest_json(trained.thresholds.tolist()),
    }


def _about(trained: Run, features: Features, key: str, split: str, fraction: float | None) -> dict[str, Any]:
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
    }
    own = key == trained.key
    parts = [*([] if own else [key]), split, *([f"{fraction:g}"] if determined_by["fraction"] else [])]
    return {**determined_by, "evaluation_id": "-".join([*parts, digest_json(determined_by)[:8]])}


def _write(
    folder: Path, content: dict[str, Any], predictions: Predictions, pictures: NDArray[Any], trained: Run
) -> None:
    decibels = trained.spec.to_decibels(pictures)
    with atomic_folder(folder) as temporary:
        predictions.save(temporary / PREDICTIONS)
        write_json(temporary / CONFUSION, content["confusion"])
        with (temporary / CONFUSION_MATRIX).open("wb") as handle:
            np.save(handle, np.array(content["confusion"]["matrix"], dtype=np.int64))
        write_json(temporary / MISTAKES, {"run_id": content["run_id"], "mistakes": content["mistakes"]})
        write_text(temporary / PAGE, evaluation_page(content, trained.history, list(decibels)))
        kept = {name: value for name, value in content.items() if name not in ("confusion", "mistakes")}
        kept["digests"] = {**kept["digests"], "predictions": sha256_file(temporary / PREDICTIONS)}
        write_json(temporary / METRICS, kept)


def _write_runbook_names(settings: Settings, folder: Path, preset: str) -> None:
    for name in (CONFUSION, CONFUSION_MATRIX, MISTAKES):
        target = settings.metrics_dir / f"{preset}_{name}"
        data = (folder / name).read_bytes()
        if not target.is_file() or target.read_bytes() != data:
            write_bytes(target, data)

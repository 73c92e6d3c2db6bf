"""The story of an evaluation: open what is to be judged, predict, measure, write the report.

The evaluation's id is the digest of all that determines its numbers, so its folder (`folder.py` says what is in it) is
written once, whole, and evaluating the same again returns it.
"""

import datetime
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from beatsight_core.dataset.index import dataset_key
from beatsight_core.evaluation.against import compare_with_rivals
from beatsight_core.evaluation.bootstrap import bootstrap_intervals
from beatsight_core.evaluation.breakdown import breakdown
from beatsight_core.evaluation.calibration import calibration
from beatsight_core.evaluation.confusion import confusion
from beatsight_core.evaluation.folder import (
    CONFUSION,
    CONFUSION_MATRIX,
    CONFUSION_PICTURE,
    LABEL_ERRORS,
    METRICS,
    MISTAKES,
    PAGE,
    PREDICTIONS,
    find_evaluation,
    read_evaluation,
    write_evaluation,
    write_runbook_names,
)
from beatsight_core.evaluation.label_errors import find_label_errors
from beatsight_core.evaluation.mistakes import mistakes_by_class, top_mistakes
from beatsight_core.evaluation.page.clips import MEDIA_BYTES, HitClip, hit_clips
from beatsight_core.evaluation.page.evaluation_page import SUSPECTS_SHOWN
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.evaluation.rivals import find_rivals
from beatsight_core.evaluation.slices import chosen_rows
from beatsight_core.evaluation.subject import current_digests, features_for, identity, learned_hits, require_finished
from beatsight_core.features.cache import Features
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.runs.curve_checks import check_curves
from beatsight_core.runs.records import Run, open_run
from beatsight_core.settings import Settings

__all__ = [
    "CONFUSION", "CONFUSION_MATRIX", "CONFUSION_PICTURE", "LABEL_ERRORS", "METRICS", "MISTAKES", "PAGE", "PREDICTIONS",
    "EvaluationResult", "current_digests", "evaluate", "features_for", "find_evaluation", "measure", "read_evaluation",
    "require_finished",
]  # fmt: skip

FIRST_TO_HEAR = 12
"""So many of the surest mistakes get a sound before the others, where there is not room for all."""


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
            "learned_hits": self.content.get("learned_hits"),  # evaluations of earlier versions do not say
            "ece": self.content["calibration"]["ece"],
            "pairs": self.content["pairs"],
            "against": self.content["against"],
            "curves": self.content["curves"],
            "label_errors": self.content["label_errors"]["suspects"],
            "folder": str(self.folder),
            "report_html": str(self.folder / PAGE),
            "report_json": str(self.folder / METRICS),
            "confusion_json": str(self.folder / CONFUSION),
            "confusion_npy": str(self.folder / CONFUSION_MATRIX),
            "confusion_png": str(self.folder / CONFUSION_PICTURE),
            "misclassified_json": str(self.folder / MISTAKES),
            "label_errors_json": str(self.folder / LABEL_ERRORS),
            "reused": self.reused,
            "seconds": self.seconds,
        }


class Asked(TypedDict, total=False):
    """Which hits, and whom to compare with.

    Attributes:
        on: Another manifest (path or key) than the one the run learned from; its features must be there.
        split: "val" by default, or "all" (also "train" and "calibration").
        fraction: A stratified, seeded share of the split.
        against: A run or version to compare with.
        compare: Whether to compare with the run before it and with the champion. Gates do without, so that what they
            rest on stays the same when another champion comes.
    """

    on: str | Path | None
    split: str
    fraction: float | None
    against: str | None
    compare: bool


def evaluate(
    settings: Settings, run: str, *, device: str = "auto", progress: Progress | None = None, **asked: Unpack[Asked]
) -> EvaluationResult:
    """Measure a finished run on labelled hits, compare it on the same with others if asked, and write the report.

    Args:
        settings: Say where everything lies.
        run: A run's id, a beginning of one, or "latest".
        device: auto, cpu, cuda or cuda:<n>.
        progress: Hears of clips.
        asked: See `Asked`.

    Raises:
        ModelError: There is no such run, or it is not finished, or its checkpoint is broken; or so is `against`.
        DatasetError: Features of those hits are missing, or a shard is; the error says which command makes them.
        UsageError: Split or fraction is none.
    """
    began, progress = time.monotonic(), progress or SilentProgress()
    trained = require_finished(open_run(settings, run))
    on, split, fraction = asked.get("on"), asked.get("split", "val"), asked.get("fraction")
    key = trained.key if on is None else dataset_key(settings, on)
    features = features_for(settings, trained, key)
    rows = chosen_rows(features, split, fraction)
    usual = asked.get("compare", False)
    rivals = find_rivals(settings, trained, current_digests(trained, features), asked.get("against"), usual=usual)
    about = identity(trained, features, key, (split, fraction), [rival.to_json() for rival in rivals])
    folder = settings.metrics_dir / trained.run_id / about["evaluation_id"]
    reused = (folder / METRICS).is_file()
    if not reused:
        predictions = predict_hits(trained, features, rows, device, progress)
        change = compare_with_rivals(settings, rivals, predictions, features, rows, device, progress)
        content = {
            **measure(predictions, {**about, "against": change}),
            "learned_hits": learned_hits(settings, trained, predictions.hits["hit_id"]),
            "label_errors": find_label_errors(trained, predictions, features, rows, device, progress),
            "curves": [check.to_json() for check in check_curves(trained.history, trained.config.warmup_epochs)],
        }
        write_evaluation(folder, content, predictions, _clips(settings, key, features, rows, content), trained)
    if on is None and split == "val":
        write_runbook_names(settings, folder, trained.preset, about["fraction"])
    return EvaluationResult(folder, read_evaluation(folder), reused, time.monotonic() - began)


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


def measure(predictions: Predictions, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is said of an evaluation, JSON-safe; `about` comes first."""
    told = confusion(predictions)
    return {
        **about,
        "made_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "metrics": predictions.metrics(),
        "intervals": bootstrap_intervals(predictions),
        "calibration": calibration(predictions),
        "breakdown": breakdown(predictions),
        "pairs": told["pairs"],
        "confusion": told,
        "mistakes": top_mistakes(predictions),
        "mistakes_by_class": mistakes_by_class(predictions),
    }


def _clips(
    settings: Settings, key: str, features: Features, rows: NDArray[np.int64], content: Mapping[str, Any]
) -> dict[int, HitClip]:
    """Clips of the mistakes by their `row`, their place among the evaluated hits."""
    place = {int(row): number for number, row in enumerate(rows)}
    wanted = (int(rows[number]) for number in _to_show(content))
    return {place[row]: clip for row, clip in hit_clips(settings, key, features, wanted, MEDIA_BYTES).items()}


def _to_show(content: Mapping[str, Any]) -> Iterable[int]:
    """The places of what the page shows, the most important first: by turns one of each component."""
    surest = [row["row"] for row in content["mistakes"]]
    groups = [[row["row"] for row in rows] for rows in content["mistakes_by_class"].values()]
    yield from surest[:FIRST_TO_HEAR]
    yield from (row["row"] for row in content["label_errors"]["suspects"][:SUSPECTS_SHOWN])
    for turn in range(max(map(len, groups), default=0)):
        yield from (group[turn] for group in groups if turn < len(group))
    yield from surest[FIRST_TO_HEAR:]

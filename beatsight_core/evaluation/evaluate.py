"""The course of an evaluation: open what is to be judged, predict, measure, write the report.

The evaluation's id is the digest of all that determines its numbers, so its folder (`folder.py` says what is in it) is
written once, whole, and evaluating the same again returns it.
"""

import datetime
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beatsight_core.dataset.index import dataset_key
from beatsight_core.evaluation.against import compare_with_rivals
from beatsight_core.evaluation.bootstrap import bootstrap_intervals
from beatsight_core.evaluation.breakdown import breakdown
from beatsight_core.evaluation.calibration import calibration
from beatsight_core.evaluation.compare_models import RivalComparison
from beatsight_core.evaluation.confusion import confusion
from beatsight_core.evaluation.evaluation_content import Evaluation, LabelErrorCount, MeasuredEvaluation
from beatsight_core.evaluation.finding import METRICS, find_evaluation
from beatsight_core.evaluation.folder import (
    CONFUSION,
    CONFUSION_MATRIX,
    CONFUSION_PICTURE,
    LABEL_ERRORS,
    MISTAKES,
    PAGE,
    PREDICTIONS,
    read_evaluation,
    write_evaluation,
    write_runbook_names,
)
from beatsight_core.evaluation.label_errors import LabelErrors, find_label_errors
from beatsight_core.evaluation.mistakes import mistakes_by_class, top_mistakes
from beatsight_core.evaluation.page.clips import MEDIA_BYTES, HitClip, hit_clips
from beatsight_core.evaluation.page.evaluation_page import SUSPECTS_SHOWN
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.evaluation.rivals import find_rivals
from beatsight_core.evaluation.slices import OWN_VALIDATION, HitSelection, chosen_rows
from beatsight_core.evaluation.subject import (
    EvaluationIdentity,
    current_digests,
    features_for,
    identity,
    learned_hits,
    require_finished,
)
from beatsight_core.features.cache import Features
from beatsight_core.gates.gate import Gate, GateRow
from beatsight_core.metrics import Metrics
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.runs.curve_checks import check_curves
from beatsight_core.runs.records import Run, open_run
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, to_json

__all__ = [
    "CONFUSION", "CONFUSION_MATRIX", "CONFUSION_PICTURE", "LABEL_ERRORS", "METRICS", "MISTAKES", "PAGE", "PREDICTIONS",
    "EvaluationResult", "HitSelection", "ShownEvaluation", "current_digests", "evaluate", "features_for",
    "find_evaluation", "measure", "read_evaluation", "require_finished",
]  # fmt: skip

FIRST_TO_HEAR = 12
"""So many of the surest mistakes get a sound before the others, where there is not room for all."""


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """An evaluation on disk, and how it came about.

    Attributes:
        folder: Folder of its files.
        content: Content of `metrics.json`.
        reused: Flag of an evaluation that had been made before.
        seconds: Time that it took now.
    """

    folder: Path
    content: Evaluation
    reused: bool
    seconds: float

    @property
    def metrics(self) -> Metrics:
        """Figures of the run on the hits."""
        return self.content.metrics

    def to_json(self) -> JsonObject:
        """Return the figures and where the files are; the breakdown stays in `report_json`."""
        content = to_json(self.content)
        names = (
            "run_id", "evaluation_id", "preset", "on", "split", "fraction", "metrics", "intervals", "digests",
            "learned_hits", "pairs", "against", "curves",
        )  # fmt: skip
        return {
            **{name: content[name] for name in names},
            "ece": self.content.calibration.ece,
            "label_errors": self.content.label_errors.suspects,
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


@dataclass(frozen=True, slots=True)
class ShownEvaluation:
    """An evaluation as a terminal shows it: some keys of `--json`.

    Attributes:
        run_id: Id of the run.
        on: Key of the manifest that it is evaluated on.
        split: Split of the hits.
        metrics: Figures of the run on the hits.
        learned_hits: Number of hits that the run trained or tuned on; None where that is not known.
        against: Comparison with each rival.
        curves: Gates on the run's loss curves.
        label_errors: Number of likely label errors.
        report_html: File of the report.
        report_json: File of the figures.
    """

    run_id: str
    on: str
    split: str
    metrics: Metrics
    learned_hits: int | None
    against: tuple[RivalComparison, ...]
    curves: tuple[GateRow, ...]
    label_errors: int
    report_html: str
    report_json: str


def evaluate(
    settings: Settings,
    run: str,
    hits: HitSelection = OWN_VALIDATION,
    *,
    against: str | None = None,
    compare: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> EvaluationResult:
    """Measure a finished run on labelled hits, compare it on the same with others if asked, and write the report.

    Args:
        settings: Settings that say where everything lies.
        run: Id of a run, a beginning of one, or "latest".
        hits: Selection of hits; by default the whole validation split of the run's own manifest.
        against: Run or version to compare with.
        compare: Flag that also compares with the run before it and with the champion. Gates do without, so that what
            they rest on stays the same when another champion comes.
        device: Device to compute on: auto, cpu, cuda or cuda:<n>.
        progress: Receives the number of clips processed.

    Raises:
        ModelError: There is no such run, or it is not finished, or its checkpoint is broken; or so is `against`.
        DatasetError: Features of those hits are missing, or a shard is; the error says which command makes them.
        UsageError: There is no such split or fraction.
    """
    began, progress = time.monotonic(), progress or SilentProgress()
    trained = require_finished(open_run(settings, run))
    key = trained.key if hits.on is None else dataset_key(settings, hits.on)
    features = features_for(settings, trained, key)
    rows = chosen_rows(features, hits.split, hits.fraction)
    rivals = find_rivals(settings, trained, current_digests(trained, features), against, usual=compare)
    about = identity(trained, features, key, hits, [rival.identity for rival in rivals])
    folder = settings.metrics_dir / trained.run_id / about.evaluation_id
    reused = (folder / METRICS).is_file()
    if not reused:
        predictions = predict_hits(trained, features, rows, device, progress)
        measured = measure(
            predictions,
            about,
            compare_with_rivals(settings, rivals, predictions, features, rows, device, progress),
            find_label_errors(trained, predictions, features, rows, device, progress),
            learned_hits(settings, trained, predictions.hits["hit_id"]),
            check_curves(trained.history, trained.config.warmup_epochs),
        )
        write_evaluation(folder, measured, predictions, _clips(settings, key, features, rows, measured), trained)
    if hits.on is None and hits.split == "val":
        write_runbook_names(settings, folder, trained.preset, about.fraction)
    return EvaluationResult(folder, read_evaluation(folder), reused, time.monotonic() - began)


def predict_hits(
    trained: Run, features: Features, rows: NDArray[np.int64], device: str, progress: Progress
) -> Predictions:
    """Return the predictions of a run for rows of the cache."""
    from beatsight_core.evaluation.predict import Predictor

    predictor = Predictor.load(trained, device)
    return Predictions(
        classes=predictor.classes,
        thresholds=predictor.thresholds,
        hits=features.meta[rows],
        probabilities=predictor.predict_rows(features, rows, progress),
        targets=features.targets[rows],
    )


def measure(
    predictions: Predictions,
    about: EvaluationIdentity,
    against: Sequence[RivalComparison],
    label_errors: LabelErrors,
    learned: int | None,
    curves: Sequence[Gate],
) -> MeasuredEvaluation:
    """Return everything that an evaluation found.

    Args:
        predictions: Predictions to measure.
        about: Identity of the evaluation.
        against: Comparisons with rivals.
        label_errors: Likely label errors.
        learned: Number of hits that the run trained or tuned on; None where that is not known.
        curves: Gates on the run's loss curves.
    """
    confused = confusion(predictions)
    content = Evaluation(
        **{field.name: getattr(about, field.name) for field in fields(EvaluationIdentity)},
        made_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        against=tuple(against),
        metrics=predictions.metrics(),
        intervals=bootstrap_intervals(predictions),
        calibration=calibration(predictions),
        breakdown={kind: tuple(groups) for kind, groups in breakdown(predictions).items()},
        pairs=confused.pairs,
        learned_hits=learned,
        label_errors=LabelErrorCount(
            label_errors.confident, label_errors.checkpoints, label_errors.asked, len(label_errors.suspects)
        ),
        curves=tuple(gate.to_json() for gate in curves),
    )
    by_class = {label: tuple(found) for label, found in mistakes_by_class(predictions).items()}
    return MeasuredEvaluation(content, confused, tuple(top_mistakes(predictions)), by_class, label_errors)


def _clips(
    settings: Settings, key: str, features: Features, rows: NDArray[np.int64], measured: MeasuredEvaluation
) -> dict[int, HitClip]:
    """Return clips of the mistakes by their `row`, their place among the evaluated hits."""
    place = {int(row): number for number, row in enumerate(rows)}
    wanted = (int(rows[number]) for number in _to_show(measured))
    return {place[row]: clip for row, clip in hit_clips(settings, key, features, wanted, MEDIA_BYTES).items()}


def _to_show(measured: MeasuredEvaluation) -> Iterable[int]:
    """Yield the places of what the page shows, the most important first: by turns one of each component."""
    surest = [mistake.row for mistake in measured.mistakes]
    groups = [[mistake.row for mistake in found] for found in measured.mistakes_by_class.values()]
    yield from surest[:FIRST_TO_HEAR]
    yield from (suspect.row for suspect in measured.label_errors.suspects[:SUSPECTS_SHOWN])
    for turn in range(max(map(len, groups), default=0)):
        yield from (group[turn] for group in groups if turn < len(group))
    yield from surest[FIRST_TO_HEAR:]

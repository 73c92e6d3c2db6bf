"""An evaluation's folder, `reports/metrics/<run id>/<evaluation id>/`: written once and whole, found, read.

    metrics.json         everything that is a number, and the digests
    confusion.json       missed components and what was predicted instead; the matrix alone as .npy, and drawn as .png
    misclassified.json   the most confident mistakes, in all and per component
    label_errors.json    labels that are likely wrong; nothing was changed
    predictions.parquet  the predictions for each hit, to measure again from
    report.html          all of it to look at

For the validation split of a run's own dataset `<preset>_confusion.{npy,json,png}` and
`<preset>_misclassified.json`, the names of the runbook, lie beside the run's folder; those of a fraction of it are
called `<preset>_0.3_confusion` and so on, so that a part never stands under the name of the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from beatsight_core.evaluation.confusion import Confusion, confusion_picture
from beatsight_core.evaluation.evaluation_content import Evaluation, MeasuredEvaluation
from beatsight_core.evaluation.finding import METRICS
from beatsight_core.evaluation.label_errors import LikelyError
from beatsight_core.evaluation.mistakes import Mistake
from beatsight_core.evaluation.page.clips import HitClip
from beatsight_core.evaluation.page.evaluation_page import evaluation_page
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.files import atomic_folder, read_json, sha256_file, write_bytes, write_json, write_text
from beatsight_core.metrics import ClassScores
from beatsight_core.runs.records import Run
from beatsight_core.settings import Settings
from beatsight_core.typed_json import from_json, to_json

CONFUSION, MISTAKES, PREDICTIONS, PAGE = (
    "confusion.json",
    "misclassified.json",
    "predictions.parquet",
    "report.html",
)
LABEL_ERRORS = "label_errors.json"
CONFUSION_MATRIX, CONFUSION_PICTURE = "confusion.npy", "confusion.png"


@dataclass(frozen=True, slots=True)
class MistakesFile:
    """The content of `misclassified.json`.

    Attributes:
        run_id: Id of the run.
        mistakes: Most confident mistakes, surest first.
        by_class: Label -> its most confident mistakes.
    """

    run_id: str
    mistakes: tuple[Mistake, ...]
    by_class: Mapping[str, Sequence[Mistake]]


@dataclass(frozen=True, slots=True)
class LabelErrorsFile:
    """The content of `label_errors.json`.

    Attributes:
        run_id: Id of the run.
        evaluation_id: Id of the evaluation.
        on: Key of the manifest.
        split: Split of the hits.
        confident: Confidence from which a mistake counts as confident.
        checkpoints: Name -> digest of the checkpoints that were asked beside the best.
        asked: Number of hits that they were asked about.
        suspects: Likely errors, surest first.
    """

    run_id: str
    evaluation_id: str
    on: str
    split: str
    confident: float
    checkpoints: Mapping[str, str]
    asked: int
    suspects: tuple[LikelyError, ...]


def write_evaluation(
    folder: Path, measured: MeasuredEvaluation, predictions: Predictions, clips: Mapping[int, HitClip], trained: Run
) -> None:
    """Write all files of an evaluation.

    Args:
        folder: Folder of the evaluation; if it is there already, that one stays.
        measured: Everything that the evaluation found.
        predictions: Predictions that were measured.
        clips: Clips of mistakes by their `row`.
        trained: Run that was evaluated.
    """
    content, doubts = measured.content, measured.label_errors
    with atomic_folder(folder) as temporary:
        predictions.save(temporary / PREDICTIONS)
        _write_confusion(temporary, measured.confusion)
        mistakes = MistakesFile(content.run_id, measured.mistakes, measured.mistakes_by_class)
        write_json(temporary / MISTAKES, to_json(mistakes))
        errors = LabelErrorsFile(
            run_id=content.run_id,
            evaluation_id=content.evaluation_id,
            on=content.on,
            split=content.split,
            confident=doubts.confident,
            checkpoints=doubts.checkpoints,
            asked=doubts.asked,
            suspects=doubts.suspects,
        )
        write_json(temporary / LABEL_ERRORS, to_json(errors))
        write_text(temporary / PAGE, evaluation_page(measured, trained.history, clips))
        digests = {**content.digests, "predictions": sha256_file(temporary / PREDICTIONS)}
        write_json(temporary / METRICS, to_json(replace(content, digests=digests)))


def _write_confusion(folder: Path, confusion: Confusion) -> None:
    write_json(folder / CONFUSION, to_json(confusion))
    with (folder / CONFUSION_MATRIX).open("wb") as handle:
        np.save(handle, np.array(confusion.matrix, dtype=np.int64))
    (folder / CONFUSION_PICTURE).write_bytes(confusion_picture(confusion))


def read_evaluation(folder: Path) -> Evaluation:
    """Read an evaluation's `metrics.json`, components in class order (JSON on disk is sorted by name).

    Args:
        folder: Folder of the evaluation, or of a version that keeps its file.

    Raises:
        DatasetError: The file is missing or broken.
    """
    path = folder / METRICS
    read = from_json(Evaluation, read_json(path), path)
    metrics, classes = read.metrics, read.classes
    return replace(
        read,
        metrics=replace(
            metrics,
            per_class=_in_order(metrics.per_class, classes),
            solo=replace(metrics.solo, per_class=_in_order(metrics.solo.per_class, classes)),
            simultaneous=replace(metrics.simultaneous, per_class=_in_order(metrics.simultaneous.per_class, classes)),
        ),
    )


def _in_order(per_class: Mapping[str, ClassScores], classes: Sequence[str]) -> dict[str, ClassScores]:
    return {label: per_class[label] for label in classes}


def write_runbook_names(settings: Settings, folder: Path, preset: str, fraction: float | None) -> None:
    """Write the files that the runbook names after the preset, from an evaluation of the validation split.

    Args:
        settings: Settings that say where they lie.
        folder: Folder of the evaluation.
        preset: Preset of the run.
        fraction: Share of the split that was evaluated; None for all of it.
    """
    stem = preset if fraction is None else f"{preset}_{fraction:g}"
    for name in (CONFUSION, CONFUSION_MATRIX, CONFUSION_PICTURE, MISTAKES):
        target = settings.metrics_dir / f"{stem}_{name}"
        data = (folder / name).read_bytes()
        if not target.is_file() or target.read_bytes() != data:
            write_bytes(target, data)

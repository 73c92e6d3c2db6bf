"""An evaluation's folder, `reports/metrics/<run id>/<evaluation id>/`: written once and whole, found, read.

    metrics.json         everything that is a number, and the digests
    confusion.json       missed components and what was said instead; the matrix alone as .npy, and drawn as .png
    misclassified.json   the most confident mistakes, in all and per component
    label_errors.json    labels that are likely wrong; nothing was changed
    predictions.parquet  what was said about each hit, to measure again from
    report.html          all of it to look at

For the validation split of a run's own dataset `<preset>_confusion.{npy,json,png}` and
`<preset>_misclassified.json`, the names of the runbook, lie beside the run's folder; those of a fraction of it are
called `<preset>_0.3_confusion` and so on, so that a part never stands under the name of the whole.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from beatsight_core.evaluation.confusion import confusion_picture
from beatsight_core.evaluation.page.clips import HitClip
from beatsight_core.evaluation.page.evaluation_page import evaluation_page
from beatsight_core.evaluation.predictions import Predictions
from beatsight_core.evaluation.subject import digests_of
from beatsight_core.files import atomic_folder, read_json, sha256_file, write_bytes, write_json, write_text
from beatsight_core.runs.records import Run
from beatsight_core.settings import Settings

METRICS, CONFUSION, MISTAKES, PREDICTIONS, PAGE = (
    "metrics.json",
    "confusion.json",
    "misclassified.json",
    "predictions.parquet",
    "report.html",
)
LABEL_ERRORS = "label_errors.json"
CONFUSION_MATRIX, CONFUSION_PICTURE = "confusion.npy", "confusion.png"

_APART = ("confusion", "mistakes", "mistakes_by_class", "label_errors")
"""What has a file of its own, or only stands on the page."""


def write_evaluation(
    folder: Path, content: dict[str, Any], predictions: Predictions, clips: Mapping[int, HitClip], trained: Run
) -> None:
    """Write all files of an evaluation.

    Args:
        folder: The evaluation's; if it is there already, that one stays.
        content: From `evaluate.measure`.
        predictions: What was measured.
        clips: Clips of mistakes by their `row`.
        trained: The run.
    """
    with atomic_folder(folder) as temporary:
        predictions.save(temporary / PREDICTIONS)
        write_json(temporary / CONFUSION, content["confusion"])
        with (temporary / CONFUSION_MATRIX).open("wb") as handle:
            np.save(handle, np.array(content["confusion"]["matrix"], dtype=np.int64))
        (temporary / CONFUSION_PICTURE).write_bytes(confusion_picture(content["confusion"]))
        mistakes = {"mistakes": content["mistakes"], "by_class": content["mistakes_by_class"]}
        write_json(temporary / MISTAKES, {"run_id": content["run_id"], **mistakes})
        about = {name: content[name] for name in ("run_id", "evaluation_id", "on", "split")}
        write_json(temporary / LABEL_ERRORS, {**about, **content["label_errors"]})
        write_text(temporary / PAGE, evaluation_page(content, trained.history, clips))
        kept = {name: value for name, value in content.items() if name not in _APART}
        doubts = content["label_errors"]
        kept["label_errors"] = {**doubts, "suspects": len(doubts["suspects"])}
        kept["digests"] = {**kept["digests"], "predictions": sha256_file(temporary / PREDICTIONS)}
        write_json(temporary / METRICS, kept)


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


def find_evaluation(settings: Settings, trained: Run) -> Path | None:
    """The evaluation of a run on the whole validation split of its own dataset that promotion judges.

    Of those that belong to the run's checkpoint, thresholds, dataset and spec all figures are alike: the first one of
    the newest format, and without rivals if there is such, so that the answer stays the same when more are made. If
    none belongs to them, the newest.
    """
    made = []
    for path in (settings.metrics_dir / trained.run_id).glob(f"val-*/{METRICS}"):
        content = read_json(path)
        if content["on"] == trained.key and content["split"] == "val" and content["fraction"] is None:
            made.append((content["made_at"], path.parent, content))
    if not made:
        return None
    made.sort(key=lambda row: row[:2])
    own = digests_of(trained, trained.dataset_digest, trained.spec)
    belong = [row for row in made if own.items() <= row[2]["digests"].items()]
    if not belong:
        return made[-1][1]
    return max(belong, key=lambda row: (row[2].get("format", 0), not row[2].get("compared_with")))[1]


def write_runbook_names(settings: Settings, folder: Path, preset: str, fraction: float | None) -> None:
    """The files that the runbook names after the preset, from an evaluation of the validation split.

    Args:
        settings: Say where they lie.
        folder: The evaluation's.
        preset: Of the run.
        fraction: Of the split that was evaluated; None for all of it.
    """
    stem = preset if fraction is None else f"{preset}_{fraction:g}"
    for name in (CONFUSION, CONFUSION_MATRIX, CONFUSION_PICTURE, MISTAKES):
        target = settings.metrics_dir / f"{stem}_{name}"
        data = (folder / name).read_bytes()
        if not target.is_file() or target.read_bytes() != data:
            write_bytes(target, data)

"""The outcome of a run: thresholds tuned on the calibration split, metrics on all of val, both of the best weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from beatsight_core.features.cache import Features
from beatsight_core.files import sha256_file, write_json
from beatsight_core.metrics import (
    NOTHING,
    Metrics,
    confusion_counts,
    multilabel_metrics,
    precision_recall,
    predicted_components,
)
from beatsight_core.runs import records
from beatsight_core.runs.records import RunIdentity
from beatsight_core.training import checkpoint
from beatsight_core.training.data.batches import ClipStore, load_clips
from beatsight_core.training.predicting import CUDA_EVAL_BATCH, predict_clips
from beatsight_core.training.thresholds import DEFAULT, tune_thresholds
from beatsight_core.typed_json import to_json


@dataclass(frozen=True, slots=True)
class Judging:
    """Limits of the memory that the final evaluation may take on a device.

    Attributes:
        batch: Number of clips at a time: those of a training step's forward pass, which needs more memory for as many.
        reserve: Bytes that stay free for computing when the evaluated clips are made resident.
    """

    batch: int = CUDA_EVAL_BATCH
    reserve: int = 0


def conclude(
    folder: Path, identity: RunIdentity, net: nn.Module, features: Features, judging: Judging = Judging()
) -> dict[str, Any]:
    """Evaluate the best weights and write `thresholds.json`, `curves.json` and last `metrics.json`, which ends the run.

    Args:
        folder: Folder of the run.
        identity: Identity of the run.
        net: Net of the run's architecture, on the device to use; it receives the best weights.
        features: Features of the dataset.
        judging: Limits of memory.

    Returns:
        The content of `metrics.json`.
    """
    path = folder / records.CHECKPOINTS / checkpoint.BEST
    best = checkpoint.load_best(path)
    net.load_state_dict(best["model"])
    thresholds = _thresholds(folder, net, features, judging)
    rows = features.rows_of("val")
    probabilities, reference = _predicted(net, features, rows, "val", judging), features.targets[rows]
    write_json(folder / records.CURVES, _curves(probabilities, reference, thresholds, features.classes))
    metrics = multilabel_metrics(probabilities, reference, thresholds, features.classes)
    history = records.read_history(folder)
    trained_s = sum(record["train_seconds"] for record in history)
    result = {
        "status": "finished",
        "run_id": identity["run_id"],
        "split": "val",
        "metrics": to_json(metrics),
        "epochs": len(history),
        "best_epoch": best["metrics"]["epoch"],
        "digests": {**identity["digests"], "checkpoint": sha256_file(path)},
        "seconds": sum(record["seconds"] for record in history),
        "clips_per_second": sum(record["clips"] for record in history) / max(trained_s, 1e-9),
    }
    write_json(folder / records.METRICS, result)
    return result


def clip_metrics(
    net: nn.Module, clips: ClipStore, thresholds: npt.ArrayLike, features: Features, batch: int = CUDA_EVAL_BATCH
) -> Metrics:
    """Return every metric of a net on some clips, predicted `batch` at a time on a CUDA device."""
    probabilities = predict_clips(net, clips, batch)
    return multilabel_metrics(probabilities, clips.targets.cpu().numpy(), thresholds, features.classes)


def _predicted(
    net: nn.Module, features: Features, rows: npt.NDArray[np.int64], name: str, judging: Judging
) -> npt.NDArray[np.float32]:
    """Return the probabilities of rows of the cache, (len(rows), classes)."""
    device = next(net.parameters()).device
    return predict_clips(net, load_clips(features, rows, device, name, reserve=judging.reserve), judging.batch)


def _curves(
    probabilities: npt.NDArray[np.float32],
    reference: npt.NDArray[np.uint8],
    thresholds: npt.NDArray[np.float64],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Return confusions at the tuned thresholds, and how precision and recall trade at others."""
    predicted = predicted_components(probabilities, thresholds)
    traded = {label: to_json(precision_recall(probabilities[:, n], reference[:, n])) for n, label in enumerate(classes)}
    return {
        "classes": list(classes),
        "columns": [*classes, NOTHING],
        "confusion": confusion_counts(probabilities, reference, predicted).tolist(),
        "precision_recall": traded,
    }


def _thresholds(folder: Path, net: nn.Module, features: Features, judging: Judging) -> npt.NDArray[np.float64]:
    rows = features.rows_of("calibration")
    thresholds = np.full(len(features.classes), DEFAULT)
    if len(rows):
        probabilities = _predicted(net, features, rows, "calibration clips", judging)
        thresholds = tune_thresholds(probabilities, features.targets[rows])
    named = {label: float(value) for label, value in zip(features.classes, thresholds, strict=True)}
    write_json(
        folder / records.THRESHOLDS,
        {"thresholds": named, "split": "calibration", "hits": len(rows), "default": DEFAULT},
    )
    return thresholds

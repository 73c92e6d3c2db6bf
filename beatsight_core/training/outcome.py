"""What a run came to: thresholds tuned on the calibration split, metrics on all of val, both of the best weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from beatsight_core.features.cache import Features
from beatsight_core.files import sha256_file, write_json
from beatsight_core.metrics import NOTHING, confusion_counts, multilabel_metrics, precision_recall, said_components
from beatsight_core.runs import records
from beatsight_core.training import checkpoint
from beatsight_core.training.data.batches import Clips, load_clips
from beatsight_core.training.predicting import CUDA_EVAL_BATCH, predict_clips
from beatsight_core.training.thresholds import DEFAULT, tune_thresholds


@dataclass(frozen=True, slots=True)
class Judging:
    """How much memory judging may take on a device.

    Attributes:
        batch: Clips at a time: those of a training step's forward pass, which needs more memory for as many.
        reserve: Bytes that stay free for computing when the judged clips are made resident.
    """

    batch: int = CUDA_EVAL_BATCH
    reserve: int = 0


def conclude(
    folder: Path, identity: dict[str, Any], net: nn.Module, features: Features, judging: Judging = Judging()
) -> dict[str, Any]:
    """Judge the best weights; write `thresholds.json`, `curves.json`, and last `metrics.json`: that finishes the run.

    Args:
        folder: Of the run.
        identity: What its `config.json` says.
        net: Of the run's architecture, on the device to use; it is given the best weights.
        features: Its cache.
        judging: Limits of memory.

    Returns:
        What `metrics.json` says.
    """
    path = folder / records.CHECKPOINTS / checkpoint.BEST
    best = checkpoint.load(path)
    net.load_state_dict(best["model"])
    thresholds = _thresholds(folder, net, features, judging)
    rows = features.rows_of("val")
    probabilities, struck = _predicted(net, features, rows, "val", judging), features.targets[rows]
    write_json(folder / records.CURVES, _curves(probabilities, struck, thresholds, features.classes))
    metrics = multilabel_metrics(probabilities, struck, thresholds, features.classes)
    history = records.read_history(folder)
    trained_s = sum(record["train_seconds"] for record in history)
    result = {
        "status": "finished",
        "run_id": identity["run_id"],
        "split": "val",
        "metrics": metrics,
        "epochs": len(history),
        "best_epoch": best["metrics"]["epoch"],
        "digests": {**identity["digests"], "checkpoint": sha256_file(path)},
        "seconds": sum(record["seconds"] for record in history),
        "clips_per_second": sum(record["clips"] for record in history) / max(trained_s, 1e-9),
    }
    write_json(folder / records.METRICS, result)
    return result


def clip_metrics(
    net: nn.Module, clips: Clips, thresholds: npt.ArrayLike, features: Features, batch: int = CUDA_EVAL_BATCH
) -> dict[str, Any]:
    """Return every metric of a net on some clips, predicted `batch` at a time on a CUDA device."""
    probabilities = predict_clips(net, clips, batch)
    return multilabel_metrics(probabilities, clips.targets.cpu().numpy(), thresholds, features.classes)


def _predicted(
    net: nn.Module, features: Features, rows: npt.NDArray[np.int64], name: str, judging: Judging
) -> npt.NDArray[np.float32]:
    """Probabilities of rows of the cache, (len(rows), classes)."""
    device = next(net.parameters()).device
    return predict_clips(net, load_clips(features, rows, device, name, reserve=judging.reserve), judging.batch)


def _curves(
    probabilities: npt.NDArray[np.float32],
    struck: npt.NDArray[np.uint8],
    thresholds: npt.NDArray[np.float64],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Confusions at the tuned thresholds, and how precision and recall trade at others."""
    said = said_components(probabilities, thresholds)
    traded = {label: precision_recall(probabilities[:, n], struck[:, n]) for n, label in enumerate(classes)}
    return {
        "classes": list(classes),
        "columns": [*classes, NOTHING],
        "confusion": confusion_counts(probabilities, struck, said).tolist(),
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

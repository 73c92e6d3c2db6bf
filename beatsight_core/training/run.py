"""Training from a manifest's features to a judged run: identity, resumption, and what is left behind.

A run's id follows from what determines it (preset and overrides, dataset, spec, classes), so the same command finds the
same run: a finished one is returned at once, an unfinished one goes on.
"""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from beatsight_core.dataset.index import dataset_key
from beatsight_core.errors import TrainingError
from beatsight_core.features.cache import Features, open_features
from beatsight_core.features.device import torch_device
from beatsight_core.files import digest_json, exclusive_lock, read_json, remove_leftovers, storage_errors, write_json
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings
from beatsight_core.training import records
from beatsight_core.training.environment import describe_environment
from beatsight_core.training.presets import TrainingConfig, load_preset
from beatsight_core.training.records import Run, list_runs, open_run
from beatsight_core.training.tracking import open_tracker

__all__ = ["Run", "TrainResult", "list_runs", "open_run", "train"]

logger = logging.getLogger("beatsight")

_SHOWN = ("loss", "accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap", "legacy_accuracy", "legacy_ceiling",
          "hits")  # fmt: skip


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

    Attributes:
        run_id: Its name.
        folder: Where it lies.
        status: "finished".
        epochs: Epochs trained.
        best_epoch: The one whose weights are kept.
        metrics: On val with tuned thresholds: `loss`, `accuracy`, `exact_match`, `macro_f1`, ..., and `f1` per class.
        seconds: Training and validation, of all sittings.
        clips_per_second: While training.
        resumed: Whether this call went on with, or found, what an earlier one had begun.
    """

    run_id: str
    folder: Path
    status: str
    epochs: int
    best_epoch: int
    metrics: dict[str, Any]
    seconds: float
    clips_per_second: float
    resumed: bool

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-safe."""
        return {**asdict(self), "folder": str(self.folder)}


def train(
    settings: Settings,
    ref: str | Path,
    preset: str = "warmup",
    *,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a preset on a manifest's features, or go on with it, or find it finished.

    Args:
        settings: Folders, feature spec, taxonomy, overrides of presets, tracking.
        ref: Manifest path, name or key.
        preset: warmup, baseline or long_run.
        overrides: Values that beat the preset's; text is read as the value's type.
        device: auto, cpu, cuda, or cuda:<n>.
        fresh: Throw away what is there of this run and start again.
        progress: Hears of clips.

    Raises:
        SettingsError: Preset or overrides are wrong.
        DatasetError: Features are missing or incomplete, or a split is empty.
        DeviceError: The device is not there.
        TrainingError: Training diverged; says at which step and where the last good checkpoint is.
        KeyboardInterrupt: Stopped by Ctrl-C or SIGTERM after a step, with a checkpoint.
    """
    config = load_preset(settings, preset, overrides)
    place = torch_device(device)
    key = dataset_key(settings, ref)
    features = open_features(settings, key)
    identity = run_identity(config, key, features)
    folder = settings.run_root / identity["run_id"]
    with exclusive_lock(settings.run_root / ".locks" / identity["run_id"]):
        if fresh:
            _discard(folder)
        begun = (folder / records.CONFIG).exists()
        if not (folder / records.METRICS).exists():
            _carry_out(settings, folder, identity, (config, features, place), progress or SilentProgress())
        return _result(folder, resumed=begun)


def run_identity(config: TrainingConfig, key: str, features: Features) -> dict[str, Any]:
    """What a run is, as its `config.json` and each of its checkpoints say; the run's id is a digest of it."""
    identity = {
        "preset": config.preset,
        "key": key,
        "source_sets": sorted(features.meta["source_set"].unique().to_list()),
        "config": config.to_json(),
        "classes": list(features.classes),
        "spec": features.spec.to_json(),
        "digests": {"dataset": features.dataset_digest, "spec": features.spec.digest},
    }
    return {"run_id": f"{config.preset}-{key}-{digest_json(identity)[:8]}", **identity}


def _carry_out(
    settings: Settings,
    folder: Path,
    identity: dict[str, Any],
    means: tuple[TrainingConfig, Features, Any],
    progress: Progress,
) -> None:
    from beatsight_core.training.fit import Sitting, fit

    config, features, device = means
    write_json(folder / records.CONFIG, identity)
    write_json(folder / records.ENVIRONMENT, describe_environment(str(device), config.seed))
    remove_leftovers(folder)
    remove_leftovers(folder / records.CHECKPOINTS)
    (folder / records.FAILURE).unlink(missing_ok=True)
    tracker = open_tracker(settings, identity["run_id"], identity, (config.preset, identity["key"]))
    sitting = Sitting(folder, identity, config, features, device, tracker, progress)
    finished: dict[str, Any] = {}
    try:
        finished = fit(sitting)
    except TrainingError as error:
        write_json(folder / records.FAILURE, {"error": str(error), "step": sitting.resumed_step})
        raise
    finally:
        tracker.finish(finished.get("metrics", {}), failed=not finished)


def _discard(folder: Path) -> None:
    """Delete a run. It is renamed first, so that no reader sees a part of it."""
    if folder.exists():
        aside = folder.with_name(f".discarded-{folder.name}")
        with storage_errors(folder):
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            shutil.rmtree(aside)


def _result(folder: Path, *, resumed: bool) -> TrainResult:
    value = read_json(folder / records.METRICS)
    metrics = {name: value["metrics"][name] for name in _SHOWN}
    metrics["f1"] = {label: scores["f1"] for label, scores in value["metrics"]["per_class"].items()}
    return TrainResult(
        run_id=value["run_id"],
        folder=folder,
        status=value["status"],
        epochs=value["epochs"],
        best_epoch=value["best_epoch"],
        metrics=metrics,
        seconds=value["seconds"],
        clips_per_second=value["clips_per_second"],
        resumed=resumed,
    )

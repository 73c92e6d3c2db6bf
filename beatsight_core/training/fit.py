"""A sitting: from where a run stands to its last epoch, with checkpoints on the way, then its outcome."""

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from beatsight_core.errors import DatasetError, ModelError, TrainingError
from beatsight_core.features.cache import Features
from beatsight_core.progress import Progress, Task
from beatsight_core.training import checkpoint, records
from beatsight_core.training.batches import Clips, band_statistics, load_clips
from beatsight_core.training.cuda import compile_forward, training_context
from beatsight_core.training.interrupts import StopRequest, stop_on_signals
from beatsight_core.training.loop import EpochNumbers, Trainer
from beatsight_core.training.model import build_model
from beatsight_core.training.outcome import clip_metrics, conclude
from beatsight_core.training.presets import TrainingConfig
from beatsight_core.training.thresholds import DEFAULT
from beatsight_core.training.tracking import Tracker

logger = logging.getLogger("beatsight")

EPOCH_METRICS = ("loss", "accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap")


@dataclass
class Sitting:
    """What a sitting works with.

    Attributes:
        folder: Of the run.
        identity: What `config.json` says; checkpoints carry it.
        config: The values.
        features: The cache.
        device: Where to train.
        tracker: Mirrors the history.
        progress: Hears of clips.
        best: The epoch kept so far: its `epoch`, `accuracy` and `loss`.
        resumed_step: Step that this sitting began at.
    """

    folder: Path
    identity: dict[str, Any]
    config: TrainingConfig
    features: Features
    device: torch.device
    tracker: Tracker
    progress: Progress
    best: dict[str, float] = field(default_factory=dict)
    resumed_step: int = 0

    @property
    def checkpoints(self) -> Path:
        """Where the ring and the best lie."""
        return self.folder / records.CHECKPOINTS


def fit(sitting: Sitting) -> dict[str, Any]:
    """Carry a run to its end and write what it came to.

    Args:
        sitting: The run and its means.

    Returns:
        What `metrics.json` says.

    Raises:
        TrainingError: Training diverged, or the device has too little memory.
        DatasetError: There are no hits to train on or to validate with.
        ModelError: No checkpoint of the run is whole, or it is one of another run.
        KeyboardInterrupt: Ctrl-C or SIGTERM came; a checkpoint has been written.
    """
    features, device = sitting.features, sitting.device
    train_rows, val_rows = features.rows_of("train"), validation_rows(features, sitting.config)
    for name, rows in (("train", train_rows), ("val", val_rows)):
        if not len(rows):
            do = "add sessions, or change dataset.val_ratio, and export again"
            raise DatasetError(f"The dataset has no hits in split {name}", do=do)
    with stop_on_signals() as stop, training_context(device):
        trainer = _make_trainer(sitting, load_clips(features, train_rows, device, "training clips"))
        _train(sitting, trainer, load_clips(features, val_rows, device, "validation clips"), stop)
        return conclude(sitting.folder, sitting.identity, trainer.judged, features)


def validation_rows(features: Features, config: TrainingConfig) -> npt.NDArray[np.int64]:
    """The validation hits looked at after each epoch: `val_fraction` of them, chosen by hit id, which is a digest."""
    rows = features.rows_of("val")
    wanted = max(math.ceil(config.val_fraction * len(rows)), min(config.val_minimum, len(rows)))
    by_id = np.argsort(features.meta["hit_id"].gather(rows).to_numpy(), kind="stable")
    return np.sort(rows[by_id[:wanted]])


def _make_trainer(sitting: Sitting, clips: Clips) -> Trainer:
    """A net at its first step or at its newest whole checkpoint; the history is cut to what that had seen."""
    config, spec = sitting.config, sitting.features.spec
    torch.manual_seed(config.seed)
    model = build_model(config.model, spec.n_mels, spec.frames, len(sitting.features.classes), config.dropout)
    found = checkpoint.load_newest(sitting.checkpoints)
    if found is None:
        model.get_submodule("normalisation").set_statistics(*band_statistics(clips))  # type: ignore[operator]
    trainer = Trainer(config, model.to(sitting.device), clips, spec.floor_db)
    if trainer.accumulation < config.accumulation:
        logger.info("accumulation %d instead of %d: an epoch is short", trainer.accumulation, config.accumulation)
    if config.compile and sitting.device.type == "cuda":
        compile_forward(trainer, spec.n_mels, spec.frames)
    torch.manual_seed(config.seed)
    if found is not None:
        state, path = found
        _check_identity(state, sitting.identity, path)
        trainer.restore(state)
        sitting.best, sitting.resumed_step = state["best"], trainer.position.step
        logger.info("resuming in epoch %d, step %d: %s", trainer.position.epoch + 1, trainer.position.step, path)
    history = records.read_history(sitting.folder)
    records.write_history(sitting.folder, [line for line in history if line["epoch"] <= trainer.position.epoch])
    return trainer


def _train(sitting: Sitting, trainer: Trainer, validation: Clips, stop: StopRequest) -> None:
    config = sitting.config
    saved = time.monotonic()
    total = config.epochs * trainer.micro_batches * config.batch
    with sitting.progress.task(f"train {config.preset}", total, "clips") as task:
        task.advance(total * trainer.position.step / (config.epochs * trainer.steps_per_epoch))

        def after_step(clips: int) -> None:
            nonlocal saved
            task.advance(clips)
            if stop or time.monotonic() - saved > 60.0 * config.checkpoint_minutes:
                path = _save(sitting, trainer)
                saved = time.monotonic()
                if stop:
                    logger.info("stopped by %s; the same command goes on from %s", stop.name, path)
                    raise KeyboardInterrupt

        while trainer.position.epoch < config.epochs:
            with _naming_last_good(sitting.checkpoints):
                numbers = trainer.train_epoch(after_step)
                _end_epoch(sitting, trainer, validation, numbers, task)
                done = trainer.position.epoch
                if done % config.checkpoint_epochs == 0 or done == config.epochs:
                    _save(sitting, trainer)
                    saved = time.monotonic()


def _end_epoch(sitting: Sitting, trainer: Trainer, validation: Clips, numbers: EpochNumbers, task: Task) -> None:
    """Validate, keep the net if it is the best so far, write the history's line."""
    began = time.monotonic()
    metrics = clip_metrics(trainer.judged, validation, DEFAULT, sitting.features)
    trainer.end_epoch(metrics["loss"])
    position = trainer.position
    record = {
        "epoch": position.epoch,
        "step": position.step,
        "lr": numbers.lr,
        "train_loss": numbers.train_loss,
        **{f"val_{name}": metrics[name] for name in EPOCH_METRICS},
        "val_hits": metrics["hits"],
        "f1": {label: scores["f1"] for label, scores in metrics["per_class"].items()},
        "recall": {label: scores["recall"] for label, scores in metrics["per_class"].items()},
        "clips": numbers.clips,
        "clips_per_second": numbers.clips / max(numbers.seconds, 1e-9),
        "train_seconds": numbers.seconds,
        "seconds": numbers.seconds + time.monotonic() - began,
    }
    reached = {"epoch": position.epoch, "accuracy": metrics["accuracy"] or 0.0, "loss": metrics["loss"]}
    if _is_better(reached, sitting.best):
        sitting.best = reached
        weights = {"model": trainer.judged.state_dict(), "metrics": reached, "step": position.step}
        checkpoint.save_best(sitting.checkpoints, {**weights, **sitting.identity})
    records.write_history(sitting.folder, [*records.read_history(sitting.folder), record])
    sitting.tracker.log(record)
    shown = {"loss": numbers.train_loss, "val_loss": metrics["loss"], "accuracy": reached["accuracy"]}
    task.advance(0, epoch=position.epoch, **shown)
    text = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
    logger.info("epoch %d of %d: %s", position.epoch, sitting.config.epochs, text)


def _is_better(reached: dict[str, float], best: dict[str, float]) -> bool:
    """Greater accuracy; of equals, lower loss."""
    return not best or (reached["accuracy"], -reached["loss"]) > (best["accuracy"], -best["loss"])


def _save(sitting: Sitting, trainer: Trainer) -> Path:
    state = {**trainer.state(), **sitting.identity, "best": sitting.best}
    return checkpoint.save_checkpoint(sitting.checkpoints, state, trainer.position.epoch, trainer.position.step)


def _check_identity(state: dict[str, Any], identity: dict[str, Any], path: Path) -> None:
    wrong = [name for name, value in identity.items() if state.get(name) != value]
    if wrong:
        why = f"{', '.join(wrong)} differ"
        raise ModelError("A checkpoint is of another run", where=path, why=why, do="start again with --fresh")


@contextlib.contextmanager
def _naming_last_good(folder: Path) -> Iterator[None]:
    """Add to an error of training where the last good checkpoint is."""
    try:
        yield
    except TrainingError as error:
        good = checkpoint.ring(folder)
        where = f"the last good checkpoint is {good[0][1]}" if good else "there is no checkpoint yet"
        raise TrainingError(error.what, where=where, why=error.why, do=error.do) from error

"""A sitting: from where a run stands to its last epoch, with checkpoints on the way, then its outcome."""

import contextlib
import functools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from beatsight_core.errors import DatasetError, TrainingError
from beatsight_core.features.cache import Features
from beatsight_core.progress import Progress, Task
from beatsight_core.training import checkpoint, records
from beatsight_core.training.bands import band_statistics
from beatsight_core.training.batches import Clips, load_clips
from beatsight_core.training.cuda import compile_training, training_context
from beatsight_core.training.interrupts import StopRequest, stop_on_signals
from beatsight_core.training.loop import EpochNumbers, Trainer
from beatsight_core.training.model import build_model
from beatsight_core.training.order import validation_rows
from beatsight_core.training.outcome import clip_metrics, conclude
from beatsight_core.training.plan import describe, resolve, with_resolved
from beatsight_core.training.presets import TrainingConfig
from beatsight_core.training.randomness import seed_all
from beatsight_core.training.ranks import ALONE, Ranks
from beatsight_core.training.thresholds import DEFAULT
from beatsight_core.training.time_limit import TimeLimit
from beatsight_core.training.tracking import Tracker
from beatsight_core.training.watch import Watch

logger = logging.getLogger("beatsight")

_SAVE, _END, _STOP = 1, 2, 3
"""What may have to be done after a step: write a checkpoint; and end, as time runs out; or stop, as was asked for."""

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
        kept: What `best.pt` holds of it: `model`, `metrics`, `step`.
        limit: When the sitting must end.
        weights: How much each training hit weighs in the draw of an epoch, (train hits,); None: each comes once.
        ranks: The processes that share the run; the first alone writes.
        pieces: How many a batch is cut into at least, because a device had too little memory.
    """

    folder: Path
    identity: dict[str, Any]
    config: TrainingConfig
    features: Features
    device: torch.device
    tracker: Tracker
    progress: Progress
    best: dict[str, float] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    limit: TimeLimit = field(default_factory=TimeLimit)
    weights: npt.NDArray[np.float64] | None = None
    ranks: Ranks = ALONE
    pieces: int = 1

    @property
    def checkpoints(self) -> Path:
        """Where the ring and the best lie."""
        return self.folder / records.CHECKPOINTS


def fit(sitting: Sitting) -> dict[str, Any]:
    """Carry a run to its end and write what it came to.

    Args:
        sitting: The run and its means.

    Returns:
        What `metrics.json` says; nothing in the other processes than the first.

    Raises:
        TrainingError: Training diverged, or the device has too little memory.
        DatasetError: There are no hits to train on or to validate with.
        ModelError: No checkpoint of the run is whole, or it is one of another run.
        KeyboardInterrupt: Ctrl-C or SIGTERM came; a checkpoint has been written.
        TimeLimitError: The sitting's limit is near; a checkpoint has been written.
    """
    features, device = sitting.features, sitting.device
    train_rows, val_rows = features.rows_of("train"), validation_rows(features, sitting.config)
    for name, rows in (("train", train_rows), ("val", val_rows)):
        if not len(rows):
            do = "add sessions, or change dataset.val_ratio, and export again"
            raise DatasetError(f"The dataset has no hits in split {name}", do=do)
    config, ranks = sitting.config, sitting.ranks
    with stop_on_signals() as stop, training_context(device, deterministic=config.deterministic):
        load = functools.partial(load_clips, features, device=device, sharers=ranks.count)
        trainer = _make_trainer(sitting, load(train_rows, name="training clips", residence=config.residence))
        there = config.residence if ranks.first else "map"  # the others never read them
        _train(sitting, trainer, load(val_rows, name="validation clips", residence=there), stop)
        if not ranks.first:
            return {}
        to_judge = len(features.rows_of("val")) + len(features.rows_of("calibration"))
        sitting.limit.require("all epochs are done, judging the result would take too long", judge=to_judge)
        return conclude(sitting.folder, sitting.identity, trainer.judged, features)


def _make_trainer(sitting: Sitting, clips: Clips) -> Trainer:
    """A net at its first step or at its newest whole checkpoint; the history is cut to what that had seen."""
    spec, ranks = sitting.features.spec, sitting.ranks
    found = checkpoint.load_newest(sitting.checkpoints)
    config = _steps(sitting, len(clips), found)
    seed_all(config.seed)
    model = build_model(config.model, spec, len(sitting.features.classes), config.dropout)
    if found is None:
        model.set_statistics(*band_statistics(clips))
    trainer = Trainer(config, model.to(sitting.device), clips, spec.floor_db, weights=sitting.weights, ranks=ranks)
    if config.compile and sitting.device.type == "cuda":
        compile_training(trainer, spec.n_mels, spec.frames)
    seed_all(config.seed + ranks.number)
    if found is not None:
        _take_up(sitting, trainer, *found)
    elif ranks.first:
        records.write_history(sitting.folder, [])
    if sitting.pieces > trainer.pieces:
        trainer.cut_batches(sitting.pieces, "so it was in an earlier attempt")
    ranks.meet()  # nobody writes before all have read
    return trainer


def _steps(sitting: Sitting, clips: int, found: tuple[dict[str, Any], Path] | None) -> TrainingConfig:
    """The configuration with the steps of this run: as its checkpoint says, so that the curve goes on, or made now."""
    config = sitting.config
    if found is not None:
        state, path = found
        checkpoint.check_belongs(state, sitting.identity, path)
        resolved = with_resolved(config, state["steps"])
    else:
        on_cuda = sitting.device.type == "cuda"
        resolved = resolve(config, clips, on_cuda=on_cuda, processes=sitting.ranks.count)
    logger.info("an epoch of %s clips: %s", f"{clips:,}", describe(config, resolved))
    return resolved


def _take_up(sitting: Sitting, trainer: Trainer, state: dict[str, Any], path: Path) -> None:
    """Go on from a checkpoint: history and best weights become what they were when it was written."""
    trainer.restore(state)
    sitting.best, sitting.kept = state["best"], state["kept"]
    if sitting.ranks.first:
        if sitting.kept and not checkpoint.is_best(sitting.checkpoints, sitting.kept):
            checkpoint.save_best(sitting.checkpoints, {**sitting.kept, **sitting.identity})
        records.write_history(sitting.folder, state["history"])
    logger.info("resuming in epoch %d, step %d: %s", trainer.position.epoch + 1, trainer.position.step, path)


def _train(sitting: Sitting, trainer: Trainer, validation: Clips, stop: StopRequest) -> None:
    config, limit = sitting.config, sitting.limit
    limit.require("getting ready took too long")
    saved = stepped = time.monotonic()
    total = config.epochs * trainer.clips_per_epoch
    on_cuda = sitting.device.type == "cuda" and sitting.ranks.first
    with sitting.progress.task(f"train {config.preset}", total, "clips") as task, Watch(on_cuda=on_cuda) as watch:
        task.skip(total * trainer.position.step / (config.epochs * trainer.steps_per_epoch))

        def after_step(clips: int) -> None:
            nonlocal saved, stepped
            task.advance(clips)
            limit.took("step", time.monotonic() - stepped, clips)
            late = not _next_fits(limit, trainer, clips, len(validation))
            unmeasured = limit and not limit.knows("save")  # one checkpoint, to know how long they take
            due = unmeasured or time.monotonic() - saved > 60.0 * config.checkpoint_minutes
            # What one process must do, all do, after the same step.
            what = sitting.ranks.agree(max(_SAVE * bool(due), _END * late, _STOP * bool(stop)))
            if what >= _SAVE:
                path = _save(sitting, trainer)
                saved = time.monotonic()
                if what == _STOP:
                    logger.info("stopped by %s; the same command goes on from %s", stop.name or "a signal", path)
                    raise KeyboardInterrupt
                if what == _END:
                    raise limit.reached(f"step {trainer.position.step} is kept in {path}")
            stepped = time.monotonic()

        while trainer.position.epoch < config.epochs:
            with _naming_last_good(sitting.checkpoints):
                numbers = trainer.train_epoch(after_step)
                with limit.timing("judge", len(validation)):
                    _end_epoch(sitting, trainer, validation, numbers, watch, task)
                done = trainer.position.epoch
                if done % config.checkpoint_epochs == 0 or done == config.epochs:
                    _save(sitting, trainer)
                    saved = time.monotonic()
            stepped = time.monotonic()


def _next_fits(limit: TimeLimit, trainer: Trainer, clips: int, judged: int) -> bool:
    """Whether a sitting has time for what comes after a step (another one, or judging the epoch) and a checkpoint."""
    if trainer.position.epoch_step < trainer.steps_per_epoch:
        return limit.fits(step=clips, save=1)
    # Before it was seen, judging is taken to cost what training costs, which it never does.
    return limit.fits(**{"judge" if limit.knows("judge") else "step": judged}, save=1)


def _end_epoch(
    sitting: Sitting, trainer: Trainer, validation: Clips, numbers: EpochNumbers, watch: Watch, task: Task
) -> None:
    """Validate, keep the net if it is the best so far, write the history's line: the first process does all that."""
    if not sitting.ranks.first:
        trainer.end_epoch(sitting.ranks.told(0.0))
        return
    began = time.monotonic()
    metrics = clip_metrics(trainer.judged, validation, DEFAULT, sitting.features)
    trainer.end_epoch(sitting.ranks.told(metrics["loss"]))
    position, steps = trainer.position, trainer.config
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
        "data_wait_seconds": numbers.data_wait_seconds,
        "batch": steps.batch // trainer.pieces,
        "accumulation": steps.accumulation * trainer.pieces,
        **watch.take(),
        "seconds": numbers.seconds + time.monotonic() - began,
    }
    reached = {"epoch": position.epoch, "accuracy": metrics["accuracy"] or 0.0, "loss": metrics["loss"]}
    if _is_better(reached, sitting.best):
        sitting.best = reached
        weights = {name: value.detach().cpu().clone() for name, value in trainer.judged.state_dict().items()}
        sitting.kept = {"model": weights, "metrics": reached, "step": position.step}
        checkpoint.save_best(sitting.checkpoints, {**sitting.kept, **sitting.identity})
    records.write_history(sitting.folder, [*records.read_history(sitting.folder), record])
    sitting.tracker.log()
    shown = {
        "loss": numbers.train_loss,
        "val_loss": metrics["loss"],
        "accuracy": reached["accuracy"],
        **({} if metrics["macro_f1"] is None else {"macro_f1": metrics["macro_f1"]}),
        "lr": numbers.lr,
        "clips_per_second": record["clips_per_second"],
        "seconds_left": (sitting.config.epochs - position.epoch) * record["seconds"],
    }
    task.advance(0, epoch=position.epoch, **shown)
    text = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
    logger.info("epoch %d of %d: %s", position.epoch, sitting.config.epochs, text)


def _is_better(reached: dict[str, float], best: dict[str, float]) -> bool:
    """Greater accuracy; of equals, lower loss."""
    return not best or (reached["accuracy"], -reached["loss"]) > (best["accuracy"], -best["loss"])


def _save(sitting: Sitting, trainer: Trainer) -> Path:
    """Write a checkpoint; every process takes part, and goes on when the first has written it."""
    so_far = {"best": sitting.best, "kept": sitting.kept, "history": records.read_history(sitting.folder)}
    of_loop = {**trainer.state(), "steps_per_epoch": trainer.steps_per_epoch}
    position, folder = trainer.position, sitting.checkpoints
    path = folder
    with sitting.limit.timing("save"):
        if sitting.ranks.first:
            state = {**of_loop, **sitting.identity, **so_far}
            path = checkpoint.save_checkpoint(folder, state, position.epoch, position.step)
        sitting.ranks.meet()
    return path


@contextlib.contextmanager
def _naming_last_good(folder: Path) -> Iterator[None]:
    """Add to an error of training where the last good checkpoint is."""
    try:
        yield
    except TrainingError as error:
        good = checkpoint.ring(folder)
        where = f"the last good checkpoint is {good[0][1]}" if good else "there is no checkpoint yet"
        raise type(error)(error.what, where=where, why=error.why, do=error.do) from error

"""Fitting: one attempt takes a run from its newest checkpoint to its last epoch, and then to its outcome."""

import contextlib
import functools
import gc
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from beatsight_core.errors import DatasetError, TrainingError
from beatsight_core.progress import Task
from beatsight_core.runs import records
from beatsight_core.runs.presets import TrainingConfig
from beatsight_core.training import checkpoint
from beatsight_core.training.attempt import Attempt, save
from beatsight_core.training.checkpoint import StoredCheckpoint
from beatsight_core.training.data.batches import ClipStore, load_clips
from beatsight_core.training.data.order import validation_rows
from beatsight_core.training.epoch_end import end_epoch
from beatsight_core.training.loop import Trainer
from beatsight_core.training.machine.cuda import compile_training, training_context
from beatsight_core.training.machine.interrupts import StopRequest, stop_on_signals
from beatsight_core.training.machine.memory_plan import step_bytes
from beatsight_core.training.machine.randomness import seed_all
from beatsight_core.training.machine.time_limit import TimeLimit
from beatsight_core.training.machine.watch import Watch
from beatsight_core.training.net.bands import band_statistics
from beatsight_core.training.net.build_net import build_model
from beatsight_core.training.optimiser import amp_dtype
from beatsight_core.training.outcome import Judging, conclude
from beatsight_core.training.steps_plan import describe, largest_part, resolve, with_resolved

logger = logging.getLogger("beatsight")

_SAVE, _END, _STOP = 1, 2, 3
"""What a process may have to do after a step: write a checkpoint; and end, as time runs out; or stop on a signal."""


def fit(attempt: Attempt) -> dict[str, Any]:
    """Carry a run to its end and write what it came to.

    Args:
        attempt: Attempt of the run, with all that it works with.

    Returns:
        The content of `metrics.json`; empty in the other processes than the first.

    Raises:
        TrainingError: Training diverged, or the device has too little memory.
        DatasetError: No hits are there to train on or to validate with.
        ModelError: No checkpoint of the run is whole, or it is one of another run.
        KeyboardInterrupt: Ctrl-C or SIGTERM came; a checkpoint has been written.
        TimeLimitError: The attempt's limit is near; a checkpoint has been written.
    """
    features, device = attempt.features, attempt.device
    train_rows, val_rows = features.rows_of("train"), validation_rows(features, attempt.config)
    for name, rows in (("train", train_rows), ("val", val_rows)):
        if not len(rows):
            do = "add sessions, or change dataset.val_ratio, and export again"
            raise DatasetError(f"The dataset has no hits in split {name}", do=do)
    ranks, residence = attempt.ranks, attempt.config.residence
    with stop_on_signals() as stop, training_context(device, deterministic=attempt.config.deterministic):
        found = checkpoint.load_newest(attempt.checkpoints)
        config = _steps(attempt, len(train_rows), found)
        micro_batches = max(attempt.micro_batches, found.state["steps"]["pieces"] if found else 1)
        part = largest_part(config, len(train_rows), ranks.count * micro_batches)
        reserve = _working_memory(attempt, config, part)
        load = functools.partial(load_clips, features, device=device, sharers=ranks.count, reserve=reserve)
        trainer = _make_trainer(attempt, config, load(train_rows, name="training clips", residence=residence), found)
        there = residence if ranks.first else "map"  # the others never read them
        _train(attempt, trainer, load(val_rows, name="validation clips", residence=there), stop)
        if not ranks.first:
            return {}
        to_judge = len(features.rows_of("val")) + len(features.rows_of("calibration"))
        attempt.limit.require("all epochs are done, judging the result would take too long", judge=to_judge)
        net, batch = trainer.eval_model, trainer.largest_part
        del trainer  # and with it the training clips, so that the evaluated ones find room
        _free_unused(device)
        return conclude(attempt.folder, attempt.identity, net, features, Judging(batch, reserve))


def _working_memory(attempt: Attempt, config: TrainingConfig, part: int) -> int:
    """Return the bytes that a device needs beside the clips for forward passes of `part` clips; 0 on the CPU."""
    if attempt.device.type != "cuda":
        return 0
    net = build_model(config.model, attempt.features.spec, len(attempt.features.classes), config.dropout)
    need = step_bytes(net, attempt.features.spec, part, amp_dtype(config, attempt.device))
    logger.info("a step with %s clips at a time needs about %.1f GB beside the clips", f"{part:,}", need / 1e9)
    return need


def _free_unused(device: torch.device) -> None:
    """Give memory that nothing refers to back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _make_trainer(
    attempt: Attempt, config: TrainingConfig, clips: ClipStore, found: StoredCheckpoint | None
) -> Trainer:
    """Return a trainer at its first step or at its newest whole checkpoint, to which the history is cut."""
    spec, ranks = attempt.features.spec, attempt.ranks
    seed_all(config.seed)
    model = build_model(config.model, spec, len(attempt.features.classes), config.dropout)
    if found is None:
        model.set_statistics(*band_statistics(clips))
    trainer = Trainer(config, model.to(attempt.device), clips, spec.floor_db, weights=attempt.weights, ranks=ranks)
    if config.compile and attempt.device.type == "cuda":
        compile_training(trainer, spec.n_mels, spec.frames)
    seed_all(config.seed + ranks.number)
    if found is not None:
        _go_on(attempt, trainer, found)
    elif ranks.first:
        records.write_history(attempt.folder, [])
    if attempt.micro_batches > trainer.micro_batches:
        trainer.cut_batches(attempt.micro_batches, "so it was in an earlier attempt")
    ranks.barrier()  # nobody writes before all have read
    return trainer


def _steps(attempt: Attempt, clips: int, found: StoredCheckpoint | None) -> TrainingConfig:
    """Return the configuration with the steps of this run: those of its checkpoint, or resolved now."""
    config = attempt.config
    if found is not None:
        checkpoint.check_belongs(found, attempt.identity)
        resolved = with_resolved(config, found.state["steps"])
    else:
        on_cuda = attempt.device.type == "cuda"
        resolved = resolve(config, clips, on_cuda=on_cuda, processes=attempt.ranks.count)
    logger.info("an epoch of %s clips: %s", f"{clips:,}", describe(config, resolved))
    return resolved


def _go_on(attempt: Attempt, trainer: Trainer, found: StoredCheckpoint) -> None:
    """Go on from a checkpoint: history and best weights become what they were when it was written."""
    state = found.state
    trainer.restore(state)
    attempt.best, attempt.kept = state["best"], state["kept"]
    if attempt.ranks.first:
        if attempt.kept and not checkpoint.is_best(attempt.checkpoints, attempt.kept):
            checkpoint.save_best(attempt.checkpoints, {**attempt.kept, **attempt.identity})
        records.write_history(attempt.folder, state["history"])
    logger.info("resuming in epoch %d, step %d: %s", trainer.position.epoch + 1, trainer.position.step, found.path)


class _AfterStep:
    """The work after each step: writes a checkpoint when it is time, and ends the attempt when it must end."""

    def __init__(self, attempt: Attempt, trainer: Trainer, task: Task, validation_clips: int, stop: StopRequest):
        self._attempt, self._trainer, self._task, self._stop = attempt, trainer, task, stop
        self._validation_clips = validation_clips
        self._saved = self._stepped = time.monotonic()

    def __call__(self, clips: int) -> None:
        attempt, limit, stop = self._attempt, self._attempt.limit, self._stop
        self._task.advance(clips)
        limit.took("step", time.monotonic() - self._stepped, clips)
        late = not _next_fits(limit, self._trainer, clips, self._validation_clips)
        # What one process must do, all do, after the same step.
        what = attempt.ranks.all_reduce_max(max(_SAVE * self._due(), _END * late, _STOP * bool(stop)))
        if what >= _SAVE:
            path = self.save()
            if what == _STOP:
                logger.info("stopped by %s; what was done is kept in %s", stop.name or "a signal", path)
                raise KeyboardInterrupt
            if what == _END:
                raise limit.reached(f"step {self._trainer.position.step} is kept in {path}")
        self.begin()

    def _due(self) -> bool:
        limit, config = self._attempt.limit, self._attempt.config
        unmeasured = bool(limit) and not limit.knows("save")  # one checkpoint, to know how long they take
        return unmeasured or time.monotonic() - self._saved > 60.0 * config.checkpoint_minutes

    def save(self) -> Path:
        path = save(self._attempt, self._trainer)
        self._saved = time.monotonic()
        return path

    def begin(self) -> None:
        """Take note that the next step begins now."""
        self._stepped = time.monotonic()


def _train(attempt: Attempt, trainer: Trainer, validation: ClipStore, stop: StopRequest) -> None:
    config, limit = attempt.config, attempt.limit
    if not limit.fits():
        raise limit.too_short()
    total = config.epochs * trainer.clips_per_epoch
    on_cuda = attempt.device.type == "cuda" and attempt.ranks.first
    with attempt.progress.task(f"train {config.preset}", total, "clips") as task, Watch(on_cuda=on_cuda) as watch:
        task.skip(total * trainer.position.step / (config.epochs * trainer.steps_per_epoch))
        after_step = _AfterStep(attempt, trainer, task, len(validation), stop)
        while trainer.position.epoch < config.epochs:
            with _naming_last_good(attempt.checkpoints):
                numbers = trainer.train_epoch(after_step)
                with limit.timing("judge", len(validation)):
                    end_epoch(attempt, trainer, validation, numbers, watch, task)
                done = trainer.position.epoch
                if done % config.checkpoint_epochs == 0 or done == config.epochs:
                    after_step.save()
            after_step.begin()


def _next_fits(limit: TimeLimit, trainer: Trainer, clips: int, validation_clips: int) -> bool:
    """Return whether there is time for another step, or the epoch's validation, and a checkpoint."""
    if trainer.position.epoch_step < trainer.steps_per_epoch:
        return limit.fits(step=clips, save=1)
    # Before it was seen, validation is taken to cost what training costs, which it never does.
    return limit.fits(**{"judge" if limit.knows("judge") else "step": validation_clips}, save=1)


@contextlib.contextmanager
def _naming_last_good(folder: Path) -> Iterator[None]:
    """Add to an error of training where the last good checkpoint is."""
    try:
        yield
    except TrainingError as error:
        good = checkpoint.last_checkpoints(folder)
        where = f"the last good checkpoint is {good[0][1]}" if good else "there is no checkpoint yet"
        raise type(error)(error.what, where=where, why=error.why, do=error.do) from error

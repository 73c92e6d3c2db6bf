"""A sitting: from where a run stands to its last epoch, with checkpoints on the way, then its outcome."""

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
from beatsight_core.training.attempt import Sitting, save
from beatsight_core.training.data.batches import Clips, load_clips
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
"""What may have to be done after a step: write a checkpoint; and end, as time runs out; or stop, as was asked for."""


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
    ranks, residence = sitting.ranks, sitting.config.residence
    with stop_on_signals() as stop, training_context(device, deterministic=sitting.config.deterministic):
        found = checkpoint.load_newest(sitting.checkpoints)
        config = _steps(sitting, len(train_rows), found)
        pieces = max(sitting.pieces, found[0]["steps"]["pieces"] if found else 1)
        part = largest_part(config, len(train_rows), ranks.count * pieces)
        reserve = _working_memory(sitting, config, part)
        load = functools.partial(load_clips, features, device=device, sharers=ranks.count, reserve=reserve)
        trainer = _make_trainer(sitting, config, load(train_rows, name="training clips", residence=residence), found)
        there = residence if ranks.first else "map"  # the others never read them
        _train(sitting, trainer, load(val_rows, name="validation clips", residence=there), stop)
        if not ranks.first:
            return {}
        to_judge = len(features.rows_of("val")) + len(features.rows_of("calibration"))
        sitting.limit.require("all epochs are done, judging the result would take too long", judge=to_judge)
        net, batch = trainer.judged, trainer.largest_part
        del trainer  # and with it the training clips, so that the judged ones find their room
        _free_unused(device)
        return conclude(sitting.folder, sitting.identity, net, features, Judging(batch, reserve))


def _working_memory(sitting: Sitting, config: TrainingConfig, part: int) -> int:
    """Bytes that a device needs beside the clips for forward passes of `part` clips; on the CPU 0: steps are small."""
    if sitting.device.type != "cuda":
        return 0
    net = build_model(config.model, sitting.features.spec, len(sitting.features.classes), config.dropout)
    need = step_bytes(net, sitting.features.spec, part, amp_dtype(config, sitting.device))
    logger.info("a step with %s clips at a time needs about %.1f GB beside the clips", f"{part:,}", need / 1e9)
    return need


def _free_unused(device: torch.device) -> None:
    """Give memory that nothing refers to back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _make_trainer(
    sitting: Sitting, config: TrainingConfig, clips: Clips, found: tuple[dict[str, Any], Path] | None
) -> Trainer:
    """A net at its first step or at its newest whole checkpoint; the history is cut to what that had seen."""
    spec, ranks = sitting.features.spec, sitting.ranks
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


class _AfterStep:
    """Called after each step: writes a checkpoint when it is time, and ends the sitting when it must end."""

    def __init__(self, sitting: Sitting, trainer: Trainer, task: Task, judged: int, stop: StopRequest):
        self._sitting, self._trainer, self._task, self._judged, self._stop = sitting, trainer, task, judged, stop
        self._saved = self._stepped = time.monotonic()

    def __call__(self, clips: int) -> None:
        sitting, limit, stop = self._sitting, self._sitting.limit, self._stop
        self._task.advance(clips)
        limit.took("step", time.monotonic() - self._stepped, clips)
        late = not _next_fits(limit, self._trainer, clips, self._judged)
        # What one process must do, all do, after the same step.
        what = sitting.ranks.agree(max(_SAVE * self._due(), _END * late, _STOP * bool(stop)))
        if what >= _SAVE:
            path = self.save()
            if what == _STOP:
                logger.info("stopped by %s; what was done is kept in %s", stop.name or "a signal", path)
                raise KeyboardInterrupt
            if what == _END:
                raise limit.reached(f"step {self._trainer.position.step} is kept in {path}")
        self.begin()

    def _due(self) -> bool:
        limit, config = self._sitting.limit, self._sitting.config
        unmeasured = bool(limit) and not limit.knows("save")  # one checkpoint, to know how long they take
        return unmeasured or time.monotonic() - self._saved > 60.0 * config.checkpoint_minutes

    def save(self) -> Path:
        path = save(self._sitting, self._trainer)
        self._saved = time.monotonic()
        return path

    def begin(self) -> None:
        """The next step begins now."""
        self._stepped = time.monotonic()


def _train(sitting: Sitting, trainer: Trainer, validation: Clips, stop: StopRequest) -> None:
    config, limit = sitting.config, sitting.limit
    if not limit.fits():
        raise limit.too_short()
    total = config.epochs * trainer.clips_per_epoch
    on_cuda = sitting.device.type == "cuda" and sitting.ranks.first
    with sitting.progress.task(f"train {config.preset}", total, "clips") as task, Watch(on_cuda=on_cuda) as watch:
        task.skip(total * trainer.position.step / (config.epochs * trainer.steps_per_epoch))
        after_step = _AfterStep(sitting, trainer, task, len(validation), stop)
        while trainer.position.epoch < config.epochs:
            with _naming_last_good(sitting.checkpoints):
                numbers = trainer.train_epoch(after_step)
                with limit.timing("judge", len(validation)):
                    end_epoch(sitting, trainer, validation, numbers, watch, task)
                done = trainer.position.epoch
                if done % config.checkpoint_epochs == 0 or done == config.epochs:
                    after_step.save()
            after_step.begin()


def _next_fits(limit: TimeLimit, trainer: Trainer, clips: int, judged: int) -> bool:
    """Whether a sitting has time for what comes after a step (another one, or judging the epoch) and a checkpoint."""
    if trainer.position.epoch_step < trainer.steps_per_epoch:
        return limit.fits(step=clips, save=1)
    # Before it was seen, judging is taken to cost what training costs, which it never does.
    return limit.fits(**{"judge" if limit.knows("judge") else "step": judged}, save=1)


@contextlib.contextmanager
def _naming_last_good(folder: Path) -> Iterator[None]:
    """Add to an error of training where the last good checkpoint is."""
    try:
        yield
    except TrainingError as error:
        good = checkpoint.ring(folder)
        where = f"the last good checkpoint is {good[0][1]}" if good else "there is no checkpoint yet"
        raise type(error)(error.what, where=where, why=error.why, do=error.do) from error

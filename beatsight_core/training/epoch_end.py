"""The end of an epoch: validation, the best net so far, a line of the history, and what is shown."""

import logging
import time

from beatsight_core.metrics import Metrics
from beatsight_core.progress import Task
from beatsight_core.runs import records
from beatsight_core.runs.records import EpochRecord
from beatsight_core.training import checkpoint
from beatsight_core.training.attempt import Attempt
from beatsight_core.training.checkpoint import BestEpoch
from beatsight_core.training.data.batches import ClipStore
from beatsight_core.training.loop import EpochNumbers, Trainer
from beatsight_core.training.machine.memory_plan import peak_bytes
from beatsight_core.training.machine.watch import Watch
from beatsight_core.training.outcome import clip_metrics
from beatsight_core.training.thresholds import DEFAULT

logger = logging.getLogger("beatsight")

_OF_THE_VIEW = ("clips_per_second", "seconds_left")
"""Figures that the progress view has fresher ones of."""

EPOCH_METRICS = ("loss", "accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap")


def end_epoch(
    attempt: Attempt, trainer: Trainer, validation: ClipStore, numbers: EpochNumbers, watch: Watch, task: Task
) -> None:
    """Validate, keep the net if it is the best so far, write the history's line: the first process does all that."""
    if not attempt.ranks.first:
        trainer.end_epoch(attempt.ranks.broadcast(0.0))
        return
    began = time.monotonic()
    metrics = clip_metrics(trainer.eval_model, validation, DEFAULT, attempt.features, trainer.largest_part)
    trainer.end_epoch(attempt.ranks.broadcast(_loss(metrics)))
    _keep_if_best(attempt, trainer, metrics)
    record: EpochRecord = {
        **_record(trainer, metrics, numbers),
        **watch.take(),
        "device_peak_bytes": peak_bytes(trainer.device),
        "seconds": numbers.seconds + time.monotonic() - began,
    }
    records.write_history(attempt.folder, [*records.read_history(attempt.folder), record])
    attempt.tracker.log()
    _show(attempt, record, task)


def _keep_if_best(attempt: Attempt, trainer: Trainer, metrics: Metrics) -> None:
    reached: BestEpoch = {
        "epoch": trainer.position.epoch,
        "accuracy": metrics.accuracy or 0.0,
        "loss": _loss(metrics),
    }
    if _is_better(reached, attempt.best):
        attempt.best = reached
        weights = {name: value.detach().cpu().clone() for name, value in trainer.eval_model.state_dict().items()}
        attempt.kept = {"model": weights, "metrics": reached, "step": trainer.position.step}
        checkpoint.save_best(attempt.checkpoints, {**attempt.kept, **attempt.identity})


def _loss(metrics: Metrics) -> float:
    """Return the loss of a validation, which has one clip at least."""
    assert metrics.loss is not None
    return metrics.loss


def _is_better(reached: BestEpoch, best: BestEpoch) -> bool:
    """Return whether an epoch has the greater accuracy, or the lower loss of equals."""
    return not best or (reached["accuracy"], -reached["loss"]) > (best["accuracy"], -best["loss"])


def _record(trainer: Trainer, metrics: Metrics, numbers: EpochNumbers) -> EpochRecord:
    """Return a line of the history, without what was measured of the machine."""
    position, steps = trainer.position, trainer.config
    return {
        "epoch": position.epoch,
        "step": position.step,
        "lr": numbers.lr,
        "train_loss": numbers.train_loss,
        "val_loss": _loss(metrics),
        "val_accuracy": metrics.accuracy,
        "val_exact_match": metrics.exact_match,
        "val_top1_in_set": metrics.top1_in_set,
        "val_macro_f1": metrics.macro_f1,
        "val_macro_ap": metrics.macro_ap,
        "val_hits": metrics.hits,
        "f1": {label: scores.f1 for label, scores in metrics.per_class.items()},
        "recall": {label: scores.recall for label, scores in metrics.per_class.items()},
        "clips": numbers.clips,
        "clips_per_second": numbers.clips / max(numbers.seconds, 1e-9),
        "train_seconds": numbers.seconds,
        "data_wait_seconds": numbers.data_wait_seconds,
        "batch": steps.batch // trainer.micro_batches,
        "accumulation": steps.accumulation * trainer.micro_batches,
    }


def _show(attempt: Attempt, record: EpochRecord, task: Task) -> None:
    """Show the epoch's numbers in the progress view and in the log."""
    epoch, epochs = record["epoch"], attempt.config.epochs
    shown = {
        "loss": record["train_loss"],
        "val_loss": record["val_loss"],
        "accuracy": record["val_accuracy"] or 0.0,
        **({} if record["val_macro_f1"] is None else {"macro_f1": record["val_macro_f1"]}),
        "lr": record["lr"],
        "clips_per_second": record["clips_per_second"],
        "seconds_left": (epochs - epoch) * record["seconds"],
    }
    task.advance(0, epoch=epoch, **{name: value for name, value in shown.items() if name not in _OF_THE_VIEW})
    text = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
    logger.info("epoch %d of %d: %s", epoch, epochs, text)

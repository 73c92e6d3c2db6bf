"""What comes after an epoch's last step: validation, the best net so far, a line of the history, and what is shown."""

import logging
import time
from typing import Any

from beatsight_core.progress import Task
from beatsight_core.runs import records
from beatsight_core.training import checkpoint
from beatsight_core.training.attempt import Sitting
from beatsight_core.training.data.batches import Clips
from beatsight_core.training.loop import EpochNumbers, Trainer
from beatsight_core.training.machine.memory_plan import peak_bytes
from beatsight_core.training.machine.watch import Watch
from beatsight_core.training.outcome import clip_metrics
from beatsight_core.training.thresholds import DEFAULT

logger = logging.getLogger("beatsight")

_OF_THE_VIEW = ("clips_per_second", "seconds_left")
"""Numbers that the progress view has fresher ones of."""

EPOCH_METRICS = ("loss", "accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap")


def end_epoch(
    sitting: Sitting, trainer: Trainer, validation: Clips, numbers: EpochNumbers, watch: Watch, task: Task
) -> None:
    """Validate, keep the net if it is the best so far, write the history's line: the first process does all that."""
    if not sitting.ranks.first:
        trainer.end_epoch(sitting.ranks.told(0.0))
        return
    began = time.monotonic()
    metrics = clip_metrics(trainer.judged, validation, DEFAULT, sitting.features, trainer.largest_part)
    trainer.end_epoch(sitting.ranks.told(metrics["loss"]))
    _keep_if_best(sitting, trainer, metrics)
    record = _record(trainer, metrics, numbers) | watch.take() | {"device_peak_bytes": peak_bytes(trainer.device)}
    record["seconds"] = numbers.seconds + time.monotonic() - began
    records.write_history(sitting.folder, [*records.read_history(sitting.folder), record])
    sitting.tracker.log()
    _show(sitting, record, task)


def _keep_if_best(sitting: Sitting, trainer: Trainer, metrics: dict[str, Any]) -> None:
    reached = {"epoch": trainer.position.epoch, "accuracy": metrics["accuracy"] or 0.0, "loss": metrics["loss"]}
    if _is_better(reached, sitting.best):
        sitting.best = reached
        weights = {name: value.detach().cpu().clone() for name, value in trainer.judged.state_dict().items()}
        sitting.kept = {"model": weights, "metrics": reached, "step": trainer.position.step}
        checkpoint.save_best(sitting.checkpoints, {**sitting.kept, **sitting.identity})


def _is_better(reached: dict[str, float], best: dict[str, float]) -> bool:
    """Greater accuracy; of equals, lower loss."""
    return not best or (reached["accuracy"], -reached["loss"]) > (best["accuracy"], -best["loss"])


def _record(trainer: Trainer, metrics: dict[str, Any], numbers: EpochNumbers) -> dict[str, Any]:
    """A line of the history, without what was measured of the machine."""
    position, steps = trainer.position, trainer.config
    return {
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
    }


def _show(sitting: Sitting, record: dict[str, Any], task: Task) -> None:
    """The epoch's numbers in the progress view and in the log."""
    epoch, epochs = record["epoch"], sitting.config.epochs
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

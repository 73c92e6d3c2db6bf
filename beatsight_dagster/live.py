"""How a step that is under way shows its numbers in the UI: in its log, and every so often as an observed asset."""

import time

import dagster as dg

from beatsight_core.progress import Progress
from beatsight_core.safe_text import for_terminal

OBSERVED_EVERY_S = 60.0
"""Observations are kept for ever, so that a step of hours gets a few hundred, not thousands. One more per epoch."""


def live_progress(context: dg.AssetExecutionContext, *tasks: str) -> Progress:
    """Log lines of all tasks, and the numbers of some as observations of the asset that is being made.

    Args:
        context: Context of the step.
        tasks: The tasks whose numbers describe the asset; "train warmup" is shown as "train/...".
    """
    told: dict[str, tuple[float, float, float]] = {}

    def listen(task: str, numbers: dict[str, float]) -> None:
        now, done, epoch = time.monotonic(), numbers["done"], numbers.get("epoch", 0.0)
        last, last_done, last_epoch = told.get(task, (now - OBSERVED_EVERY_S, -1.0, 0.0))
        due = now - last >= OBSERVED_EVERY_S or done >= numbers["total"] or epoch != last_epoch
        if task not in tasks or (done, epoch) == (last_done, last_epoch) or not due:
            return
        told[task] = now, done, epoch
        kind = task.split(maxsplit=1)[0]
        shown = {for_terminal(name).replace(": ", "/"): _short(value) for name, value in numbers.items()}
        metadata = {f"{kind}/{name}": value for name, value in shown.items()}
        for partition in context.partition_keys:
            context.log_event(dg.AssetObservation(context.asset_key, partition=partition, metadata=metadata))

    return Progress(listen)


def _short(value: float) -> float:
    """Three decimals of a large number, six digits of a small one: a learning rate is small."""
    return round(value, 3) if abs(value) >= 1 else float(f"{value:.6g}")

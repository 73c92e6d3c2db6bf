"""How a step that is under way shows its numbers in the UI: in its log, and every so often as an observed asset."""

import time

import dagster as dg

from beatsight_core.progress import Progress

OBSERVED_EVERY_S = 60.0
"""Observations are kept for ever, so that a step of hours gets a few hundred, not thousands."""


def live_progress(context: dg.AssetExecutionContext, *tasks: str) -> Progress:
    """Log lines of all tasks, and the numbers of some as observations of the asset that is being made.

    Args:
        context: Of the step.
        tasks: The tasks whose numbers describe the asset.
    """
    told: dict[str, tuple[float, float]] = {}

    def listen(task: str, numbers: dict[str, float]) -> None:
        now, done = time.monotonic(), numbers["done"]
        last, last_done = told.get(task, (now - OBSERVED_EVERY_S, -1.0))
        due = now - last >= OBSERVED_EVERY_S or done >= numbers["total"]
        if task not in tasks or done == last_done or not due:
            return
        told[task] = now, done
        metadata = {f"{task}/{name.replace(': ', '/')}": round(value, 3) for name, value in numbers.items()}
        for partition in context.partition_keys:
            context.log_event(dg.AssetObservation(context.asset_key, partition=partition, metadata=metadata))

    return Progress(listen)

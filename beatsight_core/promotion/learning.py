"""Does a run's history look like learning? What a person looks for in its two loss curves, as gates."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from beatsight_core.promotion.probe import ProbeGate

MAX_RISE = 0.25
"""The validation loss may end this share above its best; more is overfitting, or a learning rate too great."""


def learning_gates(history: Sequence[Mapping[str, Any]]) -> list[ProbeGate]:
    """Judge a finished run's epochs.

    Args:
        history: Records with `train_loss` and `val_loss`, in order.

    Returns:
        `finite`: every loss is a number. `learned`: the training loss ended below where it began (a single epoch has
        nothing to compare and passes). `steady`: the validation loss ended at most `MAX_RISE` above its best.
    """
    train, val = _losses(history, "train_loss"), _losses(history, "val_loss")
    broken = sum(not math.isfinite(loss) for loss in [*train, *val]) + (not history)
    finite = ProbeGate("finite", float(broken), 0.0, broken == 0, float(-broken), f"{broken} losses are not numbers")
    if broken:
        return [finite]
    fall = train[0] - train[-1]
    rise = val[-1] / max(min(val), 1e-12) - 1.0
    learned = len(train) == 1 or fall > 0
    return [
        finite,
        ProbeGate("learned", fall, 0.0, learned, fall, f"training loss went from {train[0]:.4f} to {train[-1]:.4f}"),
        ProbeGate("steady", rise, MAX_RISE, rise <= MAX_RISE, MAX_RISE - rise,
                  f"validation loss ended {rise:.0%} above its best, {min(val):.4f}"),
    ]  # fmt: skip


def _losses(history: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [math.nan if record.get(name) is None else float(record[name]) for record in history]

"""The learning rate as a function of the step: the same step gives the same rate, in one attempt or in ten.

The cosine has no state at all. The plateau's state is three numbers, kept in the checkpoint.
"""

import math
from dataclasses import dataclass

from beatsight_core.runs.presets import TrainingConfig


@dataclass(slots=True)
class Plateau:
    """The course of the validation loss.

    Attributes:
        factor: Factor of the rate so far.
        best: Lowest validation loss.
        waited: Number of epochs since then, or since the rate last fell.
    """

    factor: float = 1.0
    best: float = math.inf
    waited: int = 0

    def observe(self, loss: float, config: TrainingConfig) -> None:
        """Take note of an epoch's validation loss; the rate falls when patience is at its end."""
        if loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > config.plateau_patience:
            self.factor, self.waited = self.factor * config.plateau_factor, 0


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int, plateau: Plateau) -> float:
    """Return the learning rate of one step of the optimizer.

    Warm-up rises linearly to `lr` over `warmup_epochs` (at most half of all epochs). Then, with "cosine", half a cosine
    from `lr` to `min_lr`, which the last step reaches; with "plateau", `lr` times the plateau's factor, not below
    `min_lr`.

    Args:
        config: Configuration with the schedule and its values.
        step: Number of the step, 0-based, over the whole run.
        steps_per_epoch: Number of steps of one epoch.
        plateau: Course of the validation loss, for the schedule "plateau".
    """
    total = config.epochs * steps_per_epoch
    warmup = round(min(config.warmup_epochs, config.epochs / 2) * steps_per_epoch)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "plateau":
        return max(config.lr * plateau.factor, config.min_lr)
    return cosine(step - warmup, total - warmup, config.lr, config.min_lr)


def cosine(step: int, steps: int, lr: float, min_lr: float) -> float:
    """Return half a cosine from `lr` at step 0 to `min_lr` at the last of `steps`, and there after it."""
    done = min(step / max(steps - 1, 1), 1.0)
    return min_lr + (lr - min_lr) * 0.5 * (1.0 + math.cos(math.pi * done))

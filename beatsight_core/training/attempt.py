"""What a sitting works with: one stretch of a run, in one process; and how it writes a checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from beatsight_core.features.cache import Features
from beatsight_core.progress import Progress
from beatsight_core.runs import records
from beatsight_core.runs.presets import TrainingConfig
from beatsight_core.training import checkpoint
from beatsight_core.training.loop import Trainer
from beatsight_core.training.machine.time_limit import TimeLimit
from beatsight_core.training.parallel.ranks import ALONE, Ranks
from beatsight_core.training.tracking.tracking import Tracker


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


def save(sitting: Sitting, trainer: Trainer) -> Path:
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

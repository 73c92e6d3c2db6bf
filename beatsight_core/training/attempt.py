"""An attempt: one stretch of a run, in one process; and how it writes a checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from beatsight_core.features.cache import Features
from beatsight_core.progress import Progress
from beatsight_core.runs import records
from beatsight_core.runs.presets import TrainingConfig
from beatsight_core.runs.records import RunIdentity
from beatsight_core.training import checkpoint
from beatsight_core.training.checkpoint import BestEpoch, CheckpointState, KeptWeights
from beatsight_core.training.loop import Trainer
from beatsight_core.training.machine.time_limit import TimeLimit
from beatsight_core.training.parallel.ranks import ALONE, Ranks
from beatsight_core.training.tracking.tracking import Tracker


@dataclass
class Attempt:
    """One stretch of a run in one process, and what it works with.

    Attributes:
        folder: Folder of the run.
        identity: Identity of the run; checkpoints carry it.
        config: Training configuration.
        features: Features of the dataset.
        device: Device to train on.
        tracker: Tracker that mirrors the history.
        progress: Progress view that receives the number of clips trained on.
        best: Epoch whose weights are kept so far.
        kept: Weights of that epoch, as `best.pt` holds them.
        limit: Time limit of the attempt.
        weights: Weight of each training hit in the draw of an epoch, (train hits,); None: each comes once.
        ranks: Processes that share the run; the first alone writes.
        micro_batches: Least number of micro-batches that a batch is cut into, because a device had too little memory.
    """

    folder: Path
    identity: RunIdentity
    config: TrainingConfig
    features: Features
    device: torch.device
    tracker: Tracker
    progress: Progress
    best: BestEpoch = field(default_factory=BestEpoch)
    kept: KeptWeights = field(default_factory=KeptWeights)
    limit: TimeLimit = field(default_factory=TimeLimit)
    weights: npt.NDArray[np.float64] | None = None
    ranks: Ranks = ALONE
    micro_batches: int = 1

    @property
    def checkpoints(self) -> Path:
        """The folder of the last checkpoints and the best."""
        return self.folder / records.CHECKPOINTS


def save(attempt: Attempt, trainer: Trainer) -> Path:
    """Write a checkpoint; every process takes part, and goes on when the first has written it."""
    history = records.read_history(attempt.folder)
    of_loop = trainer.state()  # every process takes part in this
    position, folder = trainer.position, attempt.checkpoints
    path = folder
    with attempt.limit.timing("save"):
        if attempt.ranks.first:
            state: CheckpointState = {
                **of_loop,
                "steps_per_epoch": trainer.steps_per_epoch,
                **attempt.identity,
                "best": attempt.best,
                "kept": attempt.kept,
                "history": history,
            }
            path = checkpoint.save_checkpoint(folder, state, position.epoch, position.step)
        attempt.ranks.barrier()
    return path

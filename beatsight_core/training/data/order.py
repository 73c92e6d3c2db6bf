"""The order of an epoch's training clips, and the clips that it is validated on.

Seed and epoch determine the order, so a resumed epoch knows its rest.
"""

import math

import numpy as np
import numpy.typing as npt
import torch

from beatsight_core.features.cache import Features
from beatsight_core.runs.presets import TrainingConfig


def epoch_order(count: int, seed: int, epoch: int, weights: npt.NDArray[np.float64] | None = None) -> torch.Tensor:
    """Return the row numbers of an epoch, (count,), on the CPU.

    Without weights a permutation. With weights as many draws with replacement, by systematic resampling: a clip that
    should come x times comes x times rounded down or up, so that even the rarest come in every epoch that owes them.

    Args:
        count: Number of clips.
        seed: Seed of the run.
        epoch: Number of the epoch, 0-based.
        weights: Weights (count,), not negative and not all zero; their scale does not matter.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(count, generator=generator)
    if weights is None:
        return order
    ends = np.cumsum(weights)
    start = float(torch.rand((), generator=generator, dtype=torch.float64))
    drawn = np.searchsorted(ends, (np.arange(count) + start) * (ends[-1] / count), side="right")
    return torch.from_numpy(drawn.clip(max=count - 1))[order]


def validation_rows(features: Features, config: TrainingConfig) -> npt.NDArray[np.int64]:
    """Return the validation hits looked at after each epoch: `val_fraction` of them, chosen by hit id (a digest)."""
    rows = features.rows_of("val")
    wanted = max(math.ceil(config.val_fraction * len(rows)), min(config.val_minimum, len(rows)))
    by_id = np.argsort(features.meta["hit_id"].gather(rows).to_numpy(), kind="stable")
    return np.sort(rows[by_id[:wanted]])

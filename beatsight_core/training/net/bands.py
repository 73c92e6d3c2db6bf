"""The training hits' mean and spread of each band, which a net normalises by."""

import torch

from beatsight_core.training.data.batches import ClipStore, in_batches
from beatsight_core.training.data.feeding import Feed

_LEAST_DEVIATION_DB = 0.5
_BATCH = 1024


def band_statistics(clips: ClipStore) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each band over clips and frames, (n_mels,) each, in decibels, on the CPU.

    Args:
        clips: The training hits, and no others.
    """
    count, total, squares = 0, torch.zeros((), device=clips.device), torch.zeros((), device=clips.device)
    with Feed(clips, in_batches(clips, _BATCH)) as batches:
        for stored, _ in batches:
            decibels = stored.double()
            count += decibels.shape[0] * decibels.shape[2]
            total = total + decibels.sum(dim=(0, 2))
            squares = squares + decibels.square().sum(dim=(0, 2))
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0.0).sqrt().clamp_min(_LEAST_DEVIATION_DB)
    return mean.float().cpu(), deviation.float().cpu()

"""Clips where the net can take them: resident on the device if they fit, else read from the cache batch by batch.

A batch is an index operation. There are no worker processes and no per-clip Python.
"""

import logging
from typing import Protocol

import numpy as np
import numpy.typing as npt
import psutil
import torch

from beatsight_core.features.cache import Features
from beatsight_core.features.cores import on_one_core
from beatsight_core.features.logmel import to_decibels

logger = logging.getLogger("beatsight")

MEMORY_SHARE = 0.6
"""Share of the free memory that resident clips may take."""

_CHUNK_ROWS = 16384
_LEAST_DEVIATION_DB = 0.5


class Clips(Protocol):
    """Clips and their targets, numbered from 0."""

    @property
    def device(self) -> torch.device:
        """Where batches come out."""

    @property
    def targets(self) -> torch.Tensor:
        """(N, classes) of 0 and 1, uint8, on the device."""

    def __len__(self) -> int: ...

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Decibels (n, n_mels, frames) and targets (n, classes), both float32, of the rows named, on the device."""


class ResidentClips:
    """Clips that lie on the device, as stored.

    Args:
        stored: (N, n_mels, frames) in a spec's storage.
        targets: (N, classes) of 0 and 1, uint8, on the same device.
        floor_db: Of the spec.
    """

    def __init__(self, stored: torch.Tensor, targets: torch.Tensor, floor_db: float):
        self._stored, self.targets, self._floor_db = stored, targets, floor_db
        self.device = stored.device

    def __len__(self) -> int:
        return len(self._stored)

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Clips`; `rows` lie on the device."""
        with on_one_core():
            stored = self._stored.index_select(0, rows)
            return to_decibels(stored, self._floor_db), self.targets.index_select(0, rows).float()


class MappedClips:
    """Clips that stay in the memory-mapped cache.

    Args:
        features: The cache.
        rows: Its rows that these clips are, (N,).
        device: Where batches go.
    """

    def __init__(self, features: Features, rows: npt.NDArray[np.int64], device: torch.device):
        self._features, self._rows, self.device = features, rows, device
        self.targets = torch.from_numpy(features.targets[rows]).to(device)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Clips`."""
        stored = torch.from_numpy(self._features.read(self._rows[rows.cpu().numpy()]))
        if self.device.type == "cuda":
            stored = stored.pin_memory().to(self.device, non_blocking=True)
        with on_one_core():
            targets = self.targets.index_select(0, rows.to(self.device)).float()
            return to_decibels(stored, self._features.spec.floor_db), targets


def load_clips(features: Features, rows: npt.NDArray[np.int64], device: torch.device, name: str = "clips") -> Clips:
    """Rows of the cache, resident if they fit into `MEMORY_SHARE` of what is free.

    Args:
        features: The cache.
        rows: Rows of it, (N,).
        device: Where batches are wanted.
        name: For the log.
    """
    need, free = len(rows) * features.spec.clip_bytes, free_bytes(device)
    if need > MEMORY_SHARE * free:
        logger.info("%s: %.1f GB stay memory-mapped, %.1f GB are free on %s", name, need / 1e9, free / 1e9, device)
        return MappedClips(features, rows, device)
    spec = features.spec
    stored = torch.empty((len(rows), spec.n_mels, spec.frames), dtype=getattr(torch, spec.storage), device=device)
    for start in range(0, len(rows), _CHUNK_ROWS):
        part = features.read(rows[start : start + _CHUNK_ROWS])
        stored[start : start + len(part)].copy_(torch.from_numpy(part))
    logger.info("%s: %d clips, %.2f GB, resident on %s", name, len(rows), need / 1e9, device)
    return ResidentClips(stored, torch.from_numpy(features.targets[rows]).to(device), spec.floor_db)


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device; the machine's for the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def epoch_order(count: int, seed: int, epoch: int, device: torch.device) -> torch.Tensor:
    """The order of an epoch: a permutation that only seed and epoch determine, so a resumed epoch knows its rest."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(count, generator=generator).to(device)


def in_batches(clips: Clips, size: int) -> list[torch.Tensor]:
    """All rows in order, in parts of at most `size`."""
    every = torch.arange(len(clips), device=clips.device)
    return [every[start : start + size] for start in range(0, len(every), size)]


def band_statistics(clips: Clips) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each band over clips and frames, (n_mels,) each, in decibels, on the CPU.

    Args:
        clips: The training hits, and no others.
    """
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for rows in in_batches(clips, 1024):
        decibels = clips.batch(rows)[0].double()
        count += decibels.shape[0] * decibels.shape[2]
        total = total + decibels.sum(dim=(0, 2)).cpu()
        squares = squares + decibels.square().sum(dim=(0, 2)).cpu()
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0.0).sqrt().clamp_min(_LEAST_DEVIATION_DB)
    return mean.float(), deviation.float()

"""Clips where the net can take them: on the device if they fit, else in the machine's memory, else in the mapped cache.

A batch is an index operation. There are no worker processes and no per-clip Python. `feeding` hands the batches of an
epoch out one by one, and has those that are not on the device copied there meanwhile.
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
"""Share of the free memory that clips may take, of a device as of the machine."""

_CHUNK_ROWS = 16384
_RESIDENCE = {"device": "resident on {}", "host": "in memory, copied to {}", "map": "memory-mapped, copied to {}"}


class Clips(Protocol):
    """Clips and their targets, numbered from 0."""

    @property
    def device(self) -> torch.device:
        """Where batches come out."""

    @property
    def targets(self) -> torch.Tensor:
        """(N, classes) of 0 and 1, uint8, where the clips lie."""

    def __len__(self) -> int: ...

    def place(self, rows: torch.Tensor) -> torch.Tensor:
        """Row numbers where `batch` wants them."""

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

    def place(self, rows: torch.Tensor) -> torch.Tensor:
        """See `Clips`: they go to the device, and nobody waits for that."""
        if self.device.type == "cpu":
            return rows
        return rows.pin_memory().to(self.device, non_blocking=True)

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Clips`; `rows` lie on the device."""
        with on_one_core():
            stored = self._stored.index_select(0, rows)
            return to_decibels(stored, self._floor_db), self.targets.index_select(0, rows).float()


class HostClips:
    """Clips that lie in the machine's memory and are wanted on a device.

    Args:
        stored: (N, n_mels, frames) in a spec's storage, on the CPU.
        targets: (N, classes) of 0 and 1, uint8, on the CPU.
        floor_db: Of the spec.
        device: Where batches go.
    """

    def __init__(self, stored: torch.Tensor, targets: torch.Tensor, floor_db: float, device: torch.device):
        self._stored, self.targets, self._floor_db, self.device = stored, targets, floor_db, device

    def __len__(self) -> int:
        return len(self.targets)

    def place(self, rows: torch.Tensor) -> torch.Tensor:
        """See `Clips`: they stay on the CPU, where the clips are."""
        return rows

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Clips`; `rows` lie on the CPU."""
        stored, targets = self.fetch(rows)
        return self.decode(stored.to(self.device), targets.to(self.device))

    def fetch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Clips as stored and targets of the rows named, on the CPU."""
        with on_one_core():
            return self._read(rows), self.targets.index_select(0, rows)

    def decode(self, stored: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What `fetch` gave, now on the device, as `batch` gives it."""
        with on_one_core():
            return to_decibels(stored, self._floor_db), targets.float()

    def _read(self, rows: torch.Tensor) -> torch.Tensor:
        return self._stored.index_select(0, rows)


class MappedClips(HostClips):
    """Clips that stay in the memory-mapped cache.

    Args:
        features: The cache.
        rows: Its rows that these clips are, (N,).
        device: Where batches go.
    """

    def __init__(self, features: Features, rows: npt.NDArray[np.int64], device: torch.device):
        super().__init__(torch.empty(0), torch.from_numpy(features.targets[rows]), features.spec.floor_db, device)
        self._features, self._rows = features, rows

    def _read(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._features.read(self._rows[rows.numpy()]))


def load_clips(
    features: Features,
    rows: npt.NDArray[np.int64],
    device: torch.device,
    name: str = "clips",
    *,
    residence: str = "auto",
    sharers: int = 1,
) -> Clips:
    """Rows of the cache, as near to the device as memory allows.

    Args:
        features: The cache.
        rows: Rows of it, (N,).
        device: Where batches are wanted.
        name: For the log.
        residence: "device", "host" or "map" to decide; "auto" to go by what is free now.
        sharers: Processes of this machine that load the same.
    """
    spec = features.spec
    need = len(rows) * spec.clip_bytes
    here, there = free_bytes(torch.device("cpu")) / sharers, free_bytes(device)
    where = choose_residence(need, there if device.type == "cuda" else here, here) if residence == "auto" else residence
    logger.info(
        "%s: %s clips, %.2f GB, %s; free: %.1f GB there, %.1f GB in memory",
        name, f"{len(rows):,}", need / 1e9, _RESIDENCE[where].format(device), there / 1e9, here / 1e9,
    )  # fmt: skip
    if where == "map":
        return MappedClips(features, rows, device)
    place = device if where == "device" else torch.device("cpu")
    stored = torch.empty((len(rows), spec.n_mels, spec.frames), dtype=getattr(torch, spec.storage), device=place)
    for start in range(0, len(rows), _CHUNK_ROWS):
        part = features.read(rows[start : start + _CHUNK_ROWS])
        stored[start : start + len(part)].copy_(torch.from_numpy(part))
    targets = torch.from_numpy(features.targets[rows]).to(place)
    if where == "device":
        return ResidentClips(stored, targets, spec.floor_db)
    return HostClips(stored, targets, spec.floor_db, device)


def choose_residence(need: float, on_device: float, on_host: float) -> str:
    """Where clips go: "device", "host" or "map".

    Args:
        need: Bytes that they take.
        on_device: Bytes that are free on the device, for the CPU those of the machine.
        on_host: Bytes of the machine's memory that are free for them.
    """
    if need <= MEMORY_SHARE * on_device:
        return "device"
    return "host" if need <= MEMORY_SHARE * on_host else "map"


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device; the machine's for the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def in_batches(clips: Clips, size: int) -> list[torch.Tensor]:
    """All rows in order, in parts of at most `size`."""
    return list(torch.split(clips.place(torch.arange(len(clips))), size)) if len(clips) else []

"""Clips where the net can take them: on the device if they fit, else in the machine's memory, else in the mapped cache.

A batch is an index operation. There are no worker processes and no per-clip Python. `feeding` hands the batches of an
epoch out one by one, and has those that are not on the device copied there meanwhile.
"""

import logging
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch

from beatsight_core.compute.trouble import is_out_of_memory
from beatsight_core.features.cores import on_one_core
from beatsight_core.features.logmel import to_decibels
from beatsight_core.filesystems import slow_for_random_reads
from beatsight_core.training.machine.memory_plan import device_room, host_room

if TYPE_CHECKING:
    from beatsight_core.features.cache import Features

logger = logging.getLogger("beatsight")

_CHUNK_ROWS = 16384
_RESIDENCE = {"device": "resident on {}", "host": "in memory, copied to {}", "map": "memory-mapped, copied to {}"}


class ClipStore(Protocol):
    """Clips and their targets, numbered from 0."""

    @property
    def device(self) -> torch.device:
        """The device that batches come out on."""

    @property
    def targets(self) -> torch.Tensor:
        """The targets, (N, classes) of 0 and 1, uint8, on the device of the clips."""

    def __len__(self) -> int: ...

    def prepare_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Return row numbers on the device where `batch` expects them."""

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return decibels (n, n_mels, frames) and targets (n, classes) of rows, both float32, on the device."""


class ResidentClips:
    """Clips that lie on the device, as stored.

    Args:
        stored: Spectrograms (N, n_mels, frames) in a spec's storage.
        targets: Targets (N, classes) of 0 and 1, uint8, on the same device.
        floor_db: Least value of a spectrogram, in decibels.
    """

    def __init__(self, stored: torch.Tensor, targets: torch.Tensor, floor_db: float):
        self._stored, self.targets, self._floor_db = stored, targets, floor_db
        self.device = stored.device

    def __len__(self) -> int:
        return len(self._stored)

    def prepare_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """See `ClipStore`: they go to the device, and nobody waits for that."""
        if self.device.type == "cpu":
            return rows
        return rows.pin_memory().to(self.device, non_blocking=True)

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `ClipStore`; `rows` lie on the device."""
        with on_one_core():
            stored = self._stored.index_select(0, rows)
            return to_decibels(stored, self._floor_db), self.targets.index_select(0, rows).float()


class HostClips:
    """Clips that lie in the machine's memory and are wanted on a device.

    Args:
        stored: Spectrograms (N, n_mels, frames) in a spec's storage, on the CPU.
        targets: Targets (N, classes) of 0 and 1, uint8, on the CPU.
        floor_db: Least value of a spectrogram, in decibels.
        device: Device that batches go to.
    """

    def __init__(self, stored: torch.Tensor, targets: torch.Tensor, floor_db: float, device: torch.device):
        self._stored, self.targets, self._floor_db, self.device = stored, targets, floor_db, device

    def __len__(self) -> int:
        return len(self.targets)

    def prepare_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """See `ClipStore`: they stay on the CPU, where the clips are."""
        return rows

    def batch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `ClipStore`; `rows` lie on the CPU."""
        stored, targets = self.fetch(rows)
        return self.decode(stored.to(self.device), targets.to(self.device))

    def fetch(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return clips as stored and targets of rows, on the CPU."""
        with on_one_core():
            return self._read(rows), self.targets.index_select(0, rows)

    def decode(self, stored: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `fetch` gave, now on the device, as `batch` returns it."""
        with on_one_core():
            return to_decibels(stored, self._floor_db), targets.float()

    def _read(self, rows: torch.Tensor) -> torch.Tensor:
        return self._stored.index_select(0, rows)


class MappedClips(HostClips):
    """Clips that stay in the memory-mapped cache.

    Args:
        features: Features of the dataset.
        rows: Rows of the cache that these clips are, (N,).
        device: Device that batches go to.
    """

    def __init__(self, features: "Features", rows: npt.NDArray[np.int64], device: torch.device):
        super().__init__(torch.empty(0), torch.from_numpy(features.targets[rows]), features.spec.floor_db, device)
        self._features, self._rows = features, rows

    def _read(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._features.read(self._rows[rows.numpy()]))


def load_clips(
    features: "Features",
    rows: npt.NDArray[np.int64],
    device: torch.device,
    name: str = "clips",
    *,
    residence: str = "auto",
    sharers: int = 1,
    reserve: int = 0,
) -> ClipStore:
    """Load rows of the cache as near to the device as memory allows.

    Args:
        features: Features of the dataset.
        rows: Rows of the cache, (N,).
        device: Device where batches are wanted.
        name: Name of these clips in the log.
        residence: Memory for the clips: "device", "host" or "map"; "auto" chooses by the memory that is free now.
        sharers: Number of processes of this machine that load the same.
        reserve: Bytes of the device that must stay free for computing (see `memory_plan.step_bytes`).

    Raises:
        torch.OutOfMemoryError: The device is too small for clips that `residence` puts there.
    """
    need = len(rows) * features.spec.clip_bytes
    on_host = host_room(sharers)
    on_device = on_host
    if device.type == "cuda":
        on_device = device_room(*torch.cuda.mem_get_info(device), reserve)
    where = choose_residence(need, on_device, on_host) if residence == "auto" else residence
    logger.info(
        "%s: %s clips, %.2f GB, %s; room for clips: %.1f GB there, %.1f GB in memory",
        name, f"{len(rows):,}", need / 1e9, _RESIDENCE[where].format(device), on_device / 1e9, on_host / 1e9,
    )  # fmt: skip
    if where == "device":
        try:
            return ResidentClips(*_copied(features, rows, device), features.spec.floor_db)
        except RuntimeError as error:
            if residence != "auto" or not is_out_of_memory(error):
                raise
        where = choose_residence(need, 0, on_host)
        logger.warning("%s: another program took the memory of %s meanwhile; they stay in memory", name, device)
    if where == "map":
        _warn_of_slow_files(features, name)
        return MappedClips(features, rows, device)
    return HostClips(*_copied(features, rows, torch.device("cpu")), features.spec.floor_db, device)


def choose_residence(need: float, on_device: float, on_host: float) -> str:
    """Choose where clips go: "device", "host" or "map".

    Args:
        need: Bytes that they take.
        on_device: Bytes that they may take on the device; of the CPU, those of the machine.
        on_host: Bytes of the machine's memory that they may take.
    """
    if need <= on_device:
        return "device"
    return "host" if need <= on_host else "map"


def _copied(
    features: "Features", rows: npt.NDArray[np.int64], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return clips as stored and their targets, on a device or the CPU."""
    spec = features.spec
    stored = torch.empty((len(rows), spec.n_mels, spec.frames), dtype=getattr(torch, spec.storage), device=device)
    for start in range(0, len(rows), _CHUNK_ROWS):
        part = features.read(rows[start : start + _CHUNK_ROWS])
        stored[start : start + len(part)].copy_(torch.from_numpy(part))
    return stored, torch.from_numpy(features.targets[rows]).to(device)


def _warn_of_slow_files(features: "Features", name: str) -> None:
    """Warn where each batch of mapped clips would be hundreds of small reads from a slow file system."""
    for folder in features.folders:
        if kind := slow_for_random_reads(folder):
            logger.warning(
                "%s are read at random from %s, which lies on %s: an epoch may take hours. Give this machine more "
                "memory (under WSL: memory= in .wslconfig), or put the cache on a local drive (BEATSIGHT_CACHE_DIR)",
                name, folder, kind,
            )  # fmt: skip
            return


def in_batches(clips: ClipStore, size: int) -> list[torch.Tensor]:
    """Return all rows in order, in parts of at most `size`."""
    return list(torch.split(clips.prepare_rows(torch.arange(len(clips))), size)) if len(clips) else []

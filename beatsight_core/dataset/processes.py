"""The number of processes of an export: one per core, fewer where memory is short."""

import os
from pathlib import Path

from beatsight_core.dataset.shards.unit_audio import MEMORY_BUDGET
from beatsight_core.workers import worker_count

_BASE_BYTES = 192 << 20
"""A worker by itself: its libraries, a row group, a unit's rows."""

_FILE_BYTES = 64 << 20
"""A file as it goes by, however long it is: blocks of it, the resampler, clips that wait to be written."""


def process_count(wanted: int) -> int:
    """Return how many workers to use.

    Args:
        wanted: Number to use whatever memory there is; 0 leaves the choice to this function.
    """
    if wanted:
        return wanted
    needed = _BASE_BYTES + _FILE_BYTES + MEMORY_BUDGET
    return max(1, min(worker_count(0), available_memory() // needed))


def available_memory() -> int:
    """Return the bytes that new processes can have without pushing others out.

    It is a guess where the system does not say.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2

"""Writing to the drive early: what a file holds so far goes out while more of it is made.

Left to itself, the system begins when the file is flushed at its end, and everybody waits. Where it cannot be asked,
nothing changes but the time it takes.
"""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin, and wait for nothing


@contextlib.contextmanager
def early_writing(path: Path) -> Iterator[Callable[[], None]]:
    """Give a function that makes the system begin to write what the file at `path` holds by then."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield lambda: _begin(descriptor)
    finally:
        os.close(descriptor)


def _begin(descriptor: int) -> None:
    with contextlib.suppress(AttributeError, OSError):  # only Linux has it
        ctypes.CDLL(None).sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _WRITE)

"""Reading from a drive one file at a time where that is faster: heads that move, and networks, like long reads best.

Processes that read from the same root take turns, whoever started them. The lock is the system's own, on the root's
folder: nothing is written, and a killed process's turn ends with it.
"""

import contextlib
import fcntl
import functools
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def turn_to_read(root: str) -> Iterator[None]:
    """Wait until no other process reads from a root, if its drive is one that likes that."""
    if likes_any_order(root):
        yield
        return
    descriptor = -1
    with contextlib.suppress(OSError):  # what keeps it from being locked shows again when a file is read, or never
        descriptor = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


@functools.cache
def likes_any_order(root: str) -> bool:
    """Return whether a drive reads many files at once as fast as one by one, as far as the system knows."""
    try:
        device = Path(root).stat().st_dev
        drive = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve(strict=True)
        folder = drive if (drive / "queue").is_dir() else drive.parent  # of a partition it is its disk's
        return (folder / "queue/rotational").read_text().strip() == "0"
    except OSError:
        return False

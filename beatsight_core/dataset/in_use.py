"""Locks on the shards: many processes may write and read them at once, and only one may remove some, alone.

An export that found a shard on disk counts on it until its index names it, and a shard it has just written is named by
no index yet. Whoever removes what no index names must therefore know that no export is under way. The locks are the
system's own: those of a killed process are free at once.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from beatsight_core.errors import READ_ONLY, UsageError
from beatsight_core.files import storage_errors
from beatsight_core.settings import Settings


@contextlib.contextmanager
def shards_in_use(settings: Settings) -> Iterator[None]:
    """Keep shards from being removed while the block runs; waits for a removal to end, and for nobody else.

    Raises:
        StorageError: The drive is full or gone.
    """
    with _opened(_lock_file(settings)) as descriptor:
        if descriptor is not None:  # else nobody can remove anything either
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def shards_at_rest(settings: Settings, *, to_remove: bool = True) -> Iterator[None]:
    """Hold the shards alone while the block runs.

    Args:
        settings: Settings that say where shards lie.
        to_remove: True if something is to be removed; a mere look needs no lock where nobody may write.

    Raises:
        UsageError: An export or a feature build is under way.
        StorageError: The drive is read-only, full, or gone.
    """
    path = _lock_file(settings)
    with _opened(path, needed=to_remove) as descriptor:
        try:
            if descriptor is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                "An export or a feature build is at work on the shards, so none can be removed",
                where=path.parent,
                do="run the same command again when it is done",
            ) from error
        yield


def _lock_file(settings: Settings) -> Path:
    """Beside the shards, so that data roots that share them share it."""
    return settings.dataset_dir / ".in-use"


@contextlib.contextmanager
def _opened(path: Path, *, needed: bool = False) -> Iterator[int | None]:
    """A lock file's descriptor; None where it cannot be made and need not be."""
    descriptor = None
    try:
        with storage_errors(path):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                if needed or error.errno not in READ_ONLY:
                    raise
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)

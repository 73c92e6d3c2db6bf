"""Room on the drive: how much an export needs at most, and whether it is there before a byte is written."""

import shutil
from pathlib import Path

from beatsight_core.dataset.schema import ClipSpec
from beatsight_core.errors import StorageError
from beatsight_core.files import storage_errors

_ROW_BYTES = 700
"""A hit's other columns, generously."""

_SHARD_BYTES = 16_384


def estimated_bytes(clips: int, shards: int, spec: ClipSpec) -> int:
    """What clips take on disk at most."""
    return clips * (spec.clip_bytes + _ROW_BYTES) + shards * _SHARD_BYTES


def free_bytes(folder: Path) -> int:
    """Free bytes of the drive that a folder lies on, or will lie on.

    Raises:
        StorageError: The drive is gone.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with storage_errors(folder):
        return shutil.disk_usage(folder).free


def require_space(folder: Path, clips: int, shards: int, spec: ClipSpec) -> None:
    """Refuse to begin what would not fit.

    Raises:
        StorageError: There is too little room.
    """
    needed, free = estimated_bytes(clips, shards, spec), free_bytes(folder)
    if clips and needed > free:
        raise StorageError(
            f"There is not enough room: the export needs up to {needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free",
            where=folder,
            why=f"{clips:,} clips of {spec.clip_bytes:,} bytes are to be written",
            do="free some space, or set BEATSIGHT_DATASET_DIR to a larger drive; nothing was written",
        )

"""Room on the drive: what an export needs at most, and whether it is there before a byte is written."""

import shutil
from pathlib import Path

from beatsight_core.errors import StorageError
from beatsight_core.files import storage_errors

_ROW_BYTES = 700
"""A hit's other columns, generously."""

_SHARD_BYTES = 16_384


def estimated_bytes(audio: int, clips: int, shards: int) -> int:
    """Return what a number of clips with so many bytes of audio takes on disk at most."""
    return audio + clips * _ROW_BYTES + shards * _SHARD_BYTES


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the drive that a folder lies on, or will lie on.

    Raises:
        StorageError: The drive is gone.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with storage_errors(folder):
        return shutil.disk_usage(folder).free


def require_space(folder: Path, audio: int, clips: int, shards: int) -> None:
    """Raise an error if an export would not fit.

    Args:
        folder: Folder to write into.
        audio: Bytes of all clips.
        clips: Number of clips.
        shards: Number of files.

    Raises:
        StorageError: There is too little room.
    """
    needed, free = estimated_bytes(audio, clips, shards), free_bytes(folder)
    if clips and needed > free:
        raise StorageError(
            f"There is not enough room: the export needs up to {needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free",
            where=folder,
            why=f"{clips:,} clips are to be written, of {audio / clips:,.0f} bytes each",
            do="free some space, or set BEATSIGHT_DATASET_DIR to a larger drive; nothing was written",
        )

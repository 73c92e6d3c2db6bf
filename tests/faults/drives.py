"""Small drives to fill up: a file system in memory of a given size, where this process may mount one."""

import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@functools.cache
def may_mount() -> bool:
    """Whether a file system can be mounted here."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory(prefix="beatsight-faults-") as folder:
        place = Path(folder)
        try:
            _mount(place, 1 << 20)
        except (OSError, subprocess.CalledProcessError):
            return False
        _call("umount", str(place))
        return True


@contextmanager
def small_drive(place: Path, size: int) -> Iterator[Path]:
    """A drive of `size` bytes, mounted at `place` while the block runs."""
    place.mkdir(parents=True, exist_ok=True)
    _mount(place, size)
    try:
        yield place
    finally:
        _call("umount", "--lazy", str(place))


def resize(place: Path, size: int) -> None:
    """Give a mounted drive another size."""
    _call("mount", "-o", f"remount,size={size}", str(place))


def set_read_only(place: Path, read_only: bool) -> None:
    """Make a mounted drive read-only, or writable again."""
    _call("mount", "-o", f"remount,{'ro' if read_only else 'rw'}", str(place))


def used_bytes(place: Path) -> int:
    """What is taken of a drive."""
    drive = os.statvfs(place)
    return (drive.f_blocks - drive.f_bfree) * drive.f_frsize


def _mount(place: Path, size: int) -> None:
    _call("mount", "-t", "tmpfs", "-o", f"size={size}", "beatsight-faults", str(place))


def _call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)

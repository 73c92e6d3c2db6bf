"""The file system that a path lies on, where that decides how fast its files can be read."""

from pathlib import Path

import psutil

_SLOW = {
    "9p": "a Windows drive, or a folder shared with a virtual machine", "drvfs": "a Windows drive under WSL",
    "virtiofs": "a folder shared with a virtual machine", "nfs": "a network drive", "nfs4": "a network drive",
    "cifs": "a network drive", "smb3": "a network drive", "smbfs": "a network drive", "afpfs": "a network drive",
    "fuse.sshfs": "a network drive", "fuse.rclone": "remote storage", "fuse.s3fs": "remote storage",
    "fuse.gcsfuse": "remote storage",
}  # fmt: skip
"""File systems on which many small reads at random places are slow, and what each is."""


def slow_for_random_reads(path: Path) -> str | None:
    """Name the file system of a path if random reads of it go over a network or to another system; else None.

    Args:
        path: Path of a file or folder.

    Returns:
        The type and what it is, for example "9p, a Windows drive, or a folder shared with a virtual machine".
    """
    kind = _file_system(path)
    return f"{kind}, {_SLOW[kind]}" if kind in _SLOW else None


def _file_system(path: Path) -> str:
    """Type of the file system that holds a path: that of the mount point that is deepest above it; "" if unknown."""
    place, found, kind = path.resolve(), -1, ""
    for mount in psutil.disk_partitions(all=True):
        point = Path(mount.mountpoint)
        if place.is_relative_to(point) and len(point.parts) >= found:  # of two at one place, the later hides the first
            found, kind = len(point.parts), mount.fstype
    return kind

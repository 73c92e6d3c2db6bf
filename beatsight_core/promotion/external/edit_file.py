"""A file that is somebody else's, changed in place: only where settings allow it, whole or not at all, mode kept."""

import contextlib
import datetime
import difflib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import SettingsError
from beatsight_core.files import atomic_path, digest_bytes, put_if_absent, storage_errors
from beatsight_core.promotion.external.shown_lines import without_other_values
from beatsight_core.settings import Settings

PRIVATE = 0o600
MOST_BYTES = 2**24
"""Of a file that is read whole. A page or a configuration of more is none."""

_WRITABLE = 0o222


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A change of a file, as people are told of it.

    Attributes:
        file: Path of the file.
        diff: Lines that change.
        backup: Path of the copy of the file as it was; None where none is kept.
    """

    file: str
    diff: str
    backup: str | None


@dataclass(frozen=True, slots=True)
class FileChange:
    """A change of a file that is to be made.

    Attributes:
        path: Path of the file itself, links resolved.
        before: Bytes of the file.
        after: Bytes that it is to have.
        keep: Flag that leaves a dated copy of the file as it was beside it.
    """

    path: Path
    before: bytes
    after: bytes
    keep: bool = False

    @property
    def diff(self) -> str:
        """The lines that change, without neighbours and other values of a line, which are nobody's business."""
        old, new = (data.decode("utf-8", "replace").splitlines() for data in (self.before, self.after))
        if self.keep:  # pages hold nothing but text for people
            old, new = without_other_values(old, new)
        return "\n".join(difflib.unified_diff(old, new, str(self.path), str(self.path), lineterm="", n=0))

    @property
    def backup(self) -> Path:
        """Path at which the file as it was is kept: the same for the same content and day."""
        day = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d")
        return self.path.with_name(f"{self.path.name}.{day}-{digest_bytes(self.before)[:8]}.bak")

    @property
    def told(self) -> ChangedFile:
        """The change as people are told of it."""
        return ChangedFile(str(self.path), self.diff, str(self.backup) if self.keep else None)

    def apply(self) -> None:
        """Make the change. A reader finds it as it was or as it is to be.

        Raises:
            SettingsError: Somebody wrote into it since it was read; it is as they left it.
            StorageError: The drive refused; the file is as it was.
        """
        if self.after == self.before:
            return
        if read_whole(self.path) != self.before:
            raise SettingsError("A file changed while it was brought in line", where=self.path, do="run it again")
        if self.keep:
            put_if_absent(self.backup, lambda path: self._write(path, self.before))
        with atomic_path(self.path) as temporary:
            self._write(temporary, self.after)

    def _write(self, path: Path, data: bytes) -> None:
        path.touch(mode=PRIVATE)  # it may hold secrets, so nobody reads it before it has its mode
        path.write_bytes(data)
        kept = self.path.stat()
        with contextlib.suppress(PermissionError):  # only root gives files away, and then its owner must still read it
            os.chown(path, kept.st_uid, kept.st_gid)
        shutil.copymode(self.path, path)


def allowed_file(settings: Settings, path: Path, setting: str) -> Path:
    """Return a file that settings name, links resolved.

    Args:
        settings: Settings that say in which folders files may be changed.
        path: Path of the file.
        setting: Setting that names it, for messages.

    Raises:
        SettingsError: The file is missing, is no plain file, or lies outside the data root and `release.roots`.
    """
    with storage_errors(path):
        actual = _resolved(path, setting)
        roots = [root.resolve() for root in (settings.data_root, *settings.release.roots)]
        if not any(actual.is_relative_to(root) for root in roots):
            raise SettingsError(
                f"{setting} names a file outside the folders in which files may be changed",
                where=path,
                why=f"it is {actual}" if actual != path else None,
                do="add its folder to release.roots, or name another file",
            )
        if not actual.exists():
            raise SettingsError(f"{setting} names a file that is not there", where=path, do="make it, or take it out")
        if not actual.is_file():
            raise SettingsError(
                f"{setting} names something that is no plain file",
                where=path,
                why=f"it is a {_kind(actual)}",
                do="name a file, or take it out",
            )
    return actual


def _resolved(path: Path, setting: str) -> Path:
    try:
        return path.resolve()
    except (RuntimeError, ValueError) as error:  # links that lead in a circle; a name that no system knows
        raise SettingsError(
            f"{setting} names a file that cannot be found",
            where=repr(str(path)),
            why=str(error),
            do="name another file",
        ) from error


def _kind(path: Path) -> str:
    mode = path.stat().st_mode
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")


def read_whole(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of a file that somebody else writes.

    Args:
        path: Path of the file.
        most: Number of bytes that are read; a file of more is not opened.

    Raises:
        SettingsError: The file is larger.
        StorageError: The drive refused.
    """
    with storage_errors(path):
        size = path.stat().st_size
        if size <= most:
            with path.open("rb") as handle:
                data = handle.read(most + 1)  # it may grow meanwhile
            size = len(data)
    if size > most:
        raise SettingsError(
            "A file is too large to be changed safely",
            where=path,
            why=f"it has {size:,} bytes, and {most:,} are the most that are read",
            do="name another file in [release], or take it out",
        )
    return data


def require_writable(change: FileChange) -> None:
    """Make sure that a file can be changed, before anything is.

    Raises:
        SettingsError: The file is read-only, or lies in a folder that is.
    """
    path = change.path
    if change.after == change.before:
        return
    with storage_errors(path):
        writable = path.stat().st_mode & _WRITABLE and os.access(path.parent, os.W_OK)
    if not writable:
        raise SettingsError(
            "A file that is to be changed is read-only, or lies in a folder that is",
            where=path,
            do="let it be written, or take it out of [release]",
        )

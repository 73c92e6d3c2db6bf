"""Every error that this project raises on purpose, and the exit code that the command line gives for it.

    BeatSightError                  1
    ├── GateError                   1   a gate, check or criterion was not met
    │   └── UnfitError              1   a version of a model is of no use where it would be used
    ├── SettingsError               2   settings, environment or command line contradict themselves
    │   └── UsageError              2   a request that cannot be carried out as typed
    ├── InputError                  3   the data that came in is not what it must be
    │   ├── ManifestError           3   a manifest as a whole cannot be used
    │   ├── AudioError              3   audio is missing, unreadable, or not what its header says
    │   ├── DatasetError            3   a catalog, shard, index or feature cache is missing, stale or broken
    │   │   └── LackingError        3   a JSON file lacks a name that is asked for
    │   └── ModelError              3   a run, checkpoint or model is missing, stale or broken
    ├── DeviceError                 2   a device that was asked for is not there
    ├── TrainingError               1   training diverged or cannot be continued
    ├── TimeLimitError             75   work stopped before its time limit; the same command goes on
    ├── UnexpectedError            70   a fault of the platform itself
    └── StorageError                4   the disk is full, read-only, or gone

An error says what happened, where, why, and what to do about it. `str(error)` is that paragraph.
"""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class BeatSightError(Exception):
    """Base of all errors raised on purpose.

    Args:
        what: Message that says what went wrong, with the values that matter.
        where: Path, line or event that it happened at.
        why: Cause as far as it is known.
        do: Advice to the reader.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | Path | None = None, why: str | None = None, do: str | None = None):
        self.what = what
        self.where = str(where) if where is not None else None
        self.why = why
        self.do = do
        super().__init__(what)

    def __str__(self) -> str:
        parts = [_sentence(self.what)]
        if self.where:
            parts.append(f"Where: {_sentence(self.where)}")
        if self.why:
            parts.append(f"Why: {_sentence(self.why)}")
        if self.do:
            parts.append(f"What to do: {_sentence(self.do)}")
        return " ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments get lost in the default reduction, and errors cross process borders here.
        return _rebuild, (type(self), self.what, self.where, self.why, self.do)


class GateError(BeatSightError):
    """A gate, check or promotion criterion was not met."""


class UnfitError(GateError):
    """A version of a model does not load, answer, or keep within its limits where it would be used.

    Attributes:
        rows: Rows that it was judged by, for a table; empty once the error has crossed to another process.
    """

    rows: tuple[Mapping[str, Any], ...] = ()


class SettingsError(BeatSightError):
    """Settings, environment variables or command-line values are wrong or contradict each other."""

    exit_code = 2


class UsageError(SettingsError):
    """A request cannot be carried out as it was typed."""


class InputError(BeatSightError):
    """Input data is missing or not what it must be."""

    exit_code = 3


class ManifestError(InputError):
    """A manifest as a whole cannot be used."""


class AudioError(InputError):
    """Audio is missing, unreadable, or not what its header says."""


class DatasetError(InputError):
    """A catalog, shard, index or feature cache is missing, stale or broken."""


class LackingError(DatasetError, KeyError):
    """A JSON file of the platform lacks a name that is asked for."""


class ModelError(InputError):
    """A run, checkpoint or model is missing, stale or broken."""


class DeviceError(BeatSightError):
    """A compute device that was asked for is not there or not usable."""

    exit_code = 2


class TrainingError(BeatSightError):
    """Training diverged or cannot be continued."""


class TimeLimitError(BeatSightError):
    """Work stopped before its time limit; the same command goes on. 75 is EX_TEMPFAIL: try again."""

    exit_code = 75


class UnexpectedError(BeatSightError):
    """A fault of the platform itself: an error that nobody has foreseen. 70 is EX_SOFTWARE."""

    exit_code = 70


class StorageError(BeatSightError):
    """The disk is full, read-only, or gone.

    Attributes:
        number: Number of the system's error, where one began it; None once the error crossed to another process.
    """

    exit_code = 4
    number: int | None = None

    @property
    def is_read_only(self) -> bool:
        """Whether nothing may be written there: the drive is read-only, or the folder is another user's."""
        return self.number in READ_ONLY

    @classmethod
    def from_os_error(cls, error: Exception, path: str | Path) -> "StorageError":
        """Return the error that says what an error of the system on `path` means and what to do about it.

        Args:
            error: Error of the system: an `OSError`, or another one that tells the system's number (`system_number`).
            path: Path that it came up at.
        """
        number = system_number(error)
        what, do = _OS_ERRORS.get(
            number or 0, ("The file system refused an operation", "check the drive and try again")
        )
        if _TEMPORARY.search(str(path)):
            do = do.replace("BEATSIGHT_DATA_ROOT", "TMPDIR")
        strerror = error.strerror if isinstance(error, OSError) else None
        why = strerror or (os.strerror(number) if number else str(error))
        made = cls(what, where=path, why=why, do=f"{do}; then run the same command again")
        made.number = number
        return made


def system_number(error: Exception) -> int | None:
    """Return the system's number of an error, where it has one.

    Libraries in Rust say it in words, as in "(os error 28)".
    """
    number = error.errno if isinstance(error, OSError) else None
    said = _NUMBER.search(str(error)) if number is None and not isinstance(error, BeatSightError) else None
    return int(said[1]) if said else number


_NUMBER = re.compile(r"\(os error (\d{1,4})\)")


_TEMPORARY = re.compile(r"/(?:beatsight-(?:verify|catalog|health|dev)|pymp)-\w{8}(?:/|$)")
"""Folders that the platform makes where TMPDIR says."""

READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""How systems say that nothing may be written at a place."""

_OS_ERRORS = {
    errno.ENOSPC: ("The disk is full", "free some space, or point BEATSIGHT_DATA_ROOT at a larger drive"),
    errno.EDQUOT: ("The disk quota is used up", "free some space, or point BEATSIGHT_DATA_ROOT elsewhere"),
    errno.EFBIG: ("A file grew past the allowed file size", "raise the limit (ulimit -f)"),
    errno.EROFS: (
        "The drive is read-only",
        "mount it writable, or write elsewhere, as by BEATSIGHT_DATA_ROOT",
    ),
    errno.EACCES: ("Permission was denied", "check the owner and the permissions of the folder"),
    errno.EPERM: ("The operation is not permitted", "check the owner and the permissions of the folder"),
    errno.EIO: ("The drive reported an input/output error", "check the drive and its cable (dmesg tells more)"),
    errno.ENODEV: ("The drive is gone", "connect and mount it"),
    errno.ENXIO: ("The drive is gone", "connect and mount it"),
    errno.ESTALE: ("The network drive is gone", "mount it again"),
    errno.ENOTDIR: ("A part of the path is a file where a folder is needed", "move that file away"),
    errno.EEXIST: ("A file stands where a folder is needed", "move that file away"),
    errno.ENOENT: ("A file or folder vanished", "check that the drive is mounted"),
}


def _rebuild(
    kind: type[BeatSightError], what: str, where: str | None, why: str | None, do: str | None
) -> BeatSightError:
    return kind(what, where=where, why=why, do=do)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."

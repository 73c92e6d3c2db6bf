"""Reading the audio files of a unit: bytes once, their digests, and what could not be had.

Small files stay in memory between digesting and decoding. Beyond a budget they are read again when their turn comes,
and must then hold the same bytes.
"""

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from beatsight_core.audio.digests import FileState, content_digest
from beatsight_core.errors import AudioError

MEMORY_BUDGET = 96 << 20
"""Bytes of files held at once; a single larger file is held alone."""


@dataclass(frozen=True, slots=True)
class FileJob:
    """A file to read, and how many of the unit's rows are its hits."""

    audio_path: str
    root: str
    hits: int

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.root) / self.audio_path


@dataclass(slots=True)
class SourceFile:
    """A file that was read.

    Attributes:
        job: Which.
        digest: Of its bytes.
        state: As it was when it was read.
    """

    job: FileJob
    digest: str
    state: FileState
    _held: bytes | None = field(default=None, repr=False)

    def data(self) -> bytes:
        """Its bytes, for once: what was held is let go.

        Raises:
            AudioError: It changed since it was digested, or is gone.
        """
        held, self._held = self._held, None
        if held is not None:
            return held
        try:
            data, _ = _read(self.job)
        except (FileNotFoundError, PermissionError):
            data = b""
        if content_digest(data) != self.digest:
            raise AudioError("An audio file changed while it was read", where=self.job.path, do="run again")
        return data

    def __reduce__(self) -> tuple[object, ...]:
        # Goes back to the parent process as a note of what was read, never with the bytes.
        return SourceFile, (self.job, self.digest, self.state)


@dataclass(slots=True)
class UnitAudio:
    """What reading a unit gave.

    Attributes:
        read: Files that were read, in order.
        lost: Files that could not be had: which, reason, message.
    """

    read: list[SourceFile] = field(default_factory=list)
    lost: list[tuple[FileJob, str, str]] = field(default_factory=list)


def read_unit(files: tuple[FileJob, ...]) -> UnitAudio:
    """Read and digest the files of a unit.

    Raises:
        AudioError: A root vanished, or a drive failed.
    """
    unit = UnitAudio()
    held = 0
    for job in files:
        try:
            data, state = _read(job)
        except FileNotFoundError:
            unit.lost.append((job, "missing_audio", "vanished since the inventory"))
        except PermissionError as error:
            unit.lost.append((job, "unreadable_audio", error.strerror or str(error)))
        else:
            keep = held + len(data) <= MEMORY_BUDGET or not unit.read
            held += len(data) if keep else 0
            unit.read.append(SourceFile(job, content_digest(data), state, data if keep else None))
    return unit


def _read(job: FileJob) -> tuple[bytes, FileState]:
    try:
        with job.path.open("rb") as stream:
            data = stream.read()
            status = _status(stream.fileno())
    except (FileNotFoundError, NotADirectoryError) as error:
        if not Path(job.root).is_dir():
            raise AudioError(
                "An audio root vanished while it was read",
                where=job.root,
                do="connect and mount the drive; then run the same command again",
            ) from error
        raise FileNotFoundError(errno.ENOENT, "vanished", str(job.path)) from error
    except PermissionError:
        raise
    except OSError as error:
        raise AudioError(
            "An audio file cannot be read from its drive",
            where=job.path,
            why=error.strerror,
            do="check the drive; then run the same command again",
        ) from error
    return data, FileState(job.root, job.audio_path, *status)


def _status(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns

"""Reading the audio files of a unit: bytes once, their digests, and what could not be had.

Small files stay in memory between digesting and decoding. Beyond a budget they are read again when their turn comes,
and must then hold the same bytes. Of a file that is decoded in parts no bytes stay: it must be as it was, by its state.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from beatsight_core.audio.digests import FileState, content_digest, stream_digest
from beatsight_core.audio.drives import turn_to_read
from beatsight_core.audio.roots import require_root
from beatsight_core.errors import AudioError

MEMORY_BUDGET = 96 << 20
"""Bytes of files held at once; a single larger file is held alone."""


TakesParts = Callable[["FileJob", BinaryIO], bool]
"""Says of an opened file whether it is to be decoded in parts."""


@dataclass(frozen=True, slots=True)
class FileJob:
    """A file to read, how many of the unit's rows are its hits, and its digest if it was read in this state before."""

    audio_path: str
    root: str
    hits: int
    known: tuple[FileState, str] | None = None

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
        in_parts: Whether only parts of it are to be decoded.
    """

    job: FileJob
    digest: str
    state: FileState
    in_parts: bool = False
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
            with _opened(self.job) as stream, turn_to_read(self.job.root):
                data = stream.read()
        except (FileNotFoundError, PermissionError):
            data = b""
        if content_digest(data) != self.digest:
            raise self._changed()
        return data

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file, to read parts of it.

        Raises:
            AudioError: It changed since it was digested, or is gone.
        """
        try:
            with _opened(self.job) as stream:
                yield stream
                state = _state(self.job, stream)
        except (FileNotFoundError, PermissionError) as error:
            raise self._changed() from error
        if state != self.state:
            raise self._changed()

    def keep_within(self, room: int) -> int:
        """Let go of bytes that exceed the room for them; returns what room is left."""
        if self._held is not None and len(self._held) > room:
            self._held = None
        return room - len(self._held or b"")

    def _changed(self) -> AudioError:
        return AudioError("An audio file changed while it was read", where=self.job.path, do="run again")

    def __reduce__(self) -> tuple[object, ...]:
        # Goes back to the parent process as a note of what was read, never with the bytes.
        return SourceFile, (self.job, self.digest, self.state, self.in_parts)


@dataclass(slots=True)
class UnitAudio:
    """What reading a unit gave.

    Attributes:
        read: Files that were read, in order.
        lost: Files that could not be had: which, reason, message.
    """

    read: list[SourceFile] = field(default_factory=list)
    lost: list[tuple[FileJob, str, str]] = field(default_factory=list)


def read_unit(files: tuple[FileJob, ...], takes_parts: TakesParts) -> UnitAudio:
    """Read and digest the files of a unit.

    A file that is to be decoded in parts is read to its end only for its digest, and not even for that if it is as it
    was when it was digested before.

    Raises:
        AudioError: A root vanished, or a drive failed.
    """
    unit = UnitAudio()
    room = MEMORY_BUDGET
    for job in files:
        try:
            with _opened(job) as stream:
                file = _in_parts(job, stream) if takes_parts(job, stream) else _whole(job, stream)
        except FileNotFoundError:
            unit.lost.append((job, "missing_audio", "vanished since the inventory"))
        except PermissionError as error:
            unit.lost.append((job, "unreadable_audio", error.strerror or str(error)))
        else:
            room = file.keep_within(room if unit.read else max(room, file.state.size))
            unit.read.append(file)
    return unit


def _whole(job: FileJob, stream: BinaryIO) -> SourceFile:
    with turn_to_read(job.root):
        stream.seek(0)
        data = stream.read()
    return SourceFile(job, content_digest(data), _state(job, stream), False, data)


def _in_parts(job: FileJob, stream: BinaryIO) -> SourceFile:
    before = _state(job, stream)
    if job.known is not None and job.known[0] == before:
        return SourceFile(job, job.known[1], before, True)
    with turn_to_read(job.root):
        stream.seek(0)
        digest = stream_digest(stream)
    return SourceFile(job, digest, _state(job, stream), True)


@contextlib.contextmanager
def _opened(job: FileJob) -> Iterator[BinaryIO]:
    """The file, with what can go wrong told apart: it is gone, it may not be read, its root or its drive failed."""
    try:
        with job.path.open("rb") as stream:
            yield stream
    except (FileNotFoundError, NotADirectoryError) as error:
        require_root(Path(job.root))
        raise FileNotFoundError(errno.ENOENT, "vanished", str(job.path)) from error
    except PermissionError:
        raise
    except OSError as error:
        require_root(Path(job.root))
        raise AudioError(
            "An audio file cannot be read from its drive",
            where=job.path,
            why=error.strerror,
            do="check the drive; then run the same command again",
        ) from error


def _state(job: FileJob, stream: BinaryIO) -> FileState:
    status = os.fstat(stream.fileno())
    return FileState(job.root, job.audio_path, status.st_size, status.st_mtime_ns)

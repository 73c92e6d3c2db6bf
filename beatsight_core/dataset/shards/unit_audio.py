"""Reading the audio files of a unit: bytes once, their digests, and which files could not be had.

Small files stay in memory between digesting and decoding. Beyond a budget they are read again when their turn comes,
and must then hold the same bytes. Of a large file, and of one that is decoded in parts, no bytes stay: they are decoded
as they are read, and the file must be as it was, by its state.
"""

import contextlib
import errno
import io
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
"""Bytes of files held at once; a larger file is decoded as it is read."""

_READ_AHEAD = 1 << 20


TakesParts = Callable[["FileJob", BinaryIO], bool]
"""Says of an opened file whether it is to be decoded in parts."""


@dataclass(frozen=True, slots=True)
class FileJob:
    """A file to read.

    Attributes:
        audio_path: Path of the file as the manifest names it.
        root: Root that it lies in.
        hits: Number of the unit's rows that are its hits.
        known: State and digest of the file, if it was read before.
        spelt: Path of the file as the drive has it, where that differs.
    """

    audio_path: str
    root: str
    hits: int
    known: tuple[FileState, str] | None = None
    spelt: str | None = None

    @property
    def path(self) -> Path:
        """The path of the file on the drive."""
        return Path(self.root) / (self.spelt or self.audio_path)


@dataclass(slots=True)
class SourceFile:
    """A file that was read.

    Attributes:
        job: File that was asked for.
        digest: Digest of its bytes.
        state: State of the file when it was read.
        in_parts: True if only parts of it are to be decoded.
    """

    job: FileJob
    digest: str
    state: FileState
    in_parts: bool = False
    _held: bytes | None = field(default=None, repr=False)

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the file to decode it, and let go of the bytes that were held of it.

        Raises:
            AudioError: The file changed since it was digested, or is gone, or its drive failed.
        """
        if self._held is not None or not self.is_streamed:
            yield io.BytesIO(self._data())
            return
        try:
            with _opened(self.job, _READ_AHEAD) as stream:
                yield stream
                state = _state(self.job, stream)
        except (FileNotFoundError, PermissionError) as error:
            raise self._changed() from error
        if state != self.state:
            raise self._changed()

    @property
    def is_streamed(self) -> bool:
        """Whether it is decoded as it is read."""
        return self.in_parts or self.state.size > MEMORY_BUDGET

    def _data(self) -> bytes:
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

    def keep_within(self, room: int) -> int:
        """Let go of bytes that exceed the room for them, and return what room is left."""
        if self._held is not None and len(self._held) > room:
            self._held = None
        return room - len(self._held or b"")

    def _changed(self) -> AudioError:
        return AudioError("An audio file changed while it was read", where=self.job.path, do="run again")

    def __reduce__(self) -> tuple[object, ...]:
        # Goes back to the parent process as a note of what was read, never with the bytes.
        return SourceFile, (self.job, self.digest, self.state, self.in_parts)


@dataclass(frozen=True, slots=True)
class LostFileJob:
    """A file of a unit that could not be had.

    Attributes:
        job: File that was asked for.
        reason: Reason that its hits are counted under.
        message: Finding in words.
    """

    job: FileJob
    reason: str
    message: str


@dataclass(slots=True)
class UnitAudio:
    """The result of reading a unit.

    Attributes:
        read: Files that were read, in order.
        lost: Files that could not be had, with reasons.
    """

    read: list[SourceFile] = field(default_factory=list)
    lost: list[LostFileJob] = field(default_factory=list)


def read_unit(files: tuple[FileJob, ...], takes_parts: TakesParts) -> UnitAudio:
    """Read and digest the files of a unit.

    A file that is to be decoded as it is read is read now only for its digest, and not even for that if it is as it was
    when it was digested before.

    Raises:
        AudioError: A root vanished, or a drive failed.
    """
    unit = UnitAudio()
    room = MEMORY_BUDGET
    for job in files:
        try:
            with _opened(job) as stream:
                in_parts = takes_parts(job, stream)
                streamed = in_parts or _state(job, stream).size > MEMORY_BUDGET
                file = _streamed(job, stream, in_parts) if streamed else _whole(job, stream)
        except FileNotFoundError:
            unit.lost.append(LostFileJob(job, "missing_audio", "vanished since the inventory"))
        except PermissionError as error:
            unit.lost.append(LostFileJob(job, "unreadable_audio", error.strerror or str(error)))
        else:
            room = file.keep_within(room)
            unit.read.append(file)
    return unit


def _whole(job: FileJob, stream: BinaryIO) -> SourceFile:
    with turn_to_read(job.root):
        stream.seek(0)
        data = stream.read()
    return SourceFile(job, content_digest(data), _state(job, stream), False, data)


def _streamed(job: FileJob, stream: BinaryIO, in_parts: bool) -> SourceFile:
    before = _state(job, stream)
    if job.known is not None and job.known[0] == before:
        return SourceFile(job, job.known[1], before, in_parts)
    with turn_to_read(job.root):
        stream.seek(0)
        digest = stream_digest(stream)
    return SourceFile(job, digest, _state(job, stream), in_parts)


@contextlib.contextmanager
def _opened(job: FileJob, buffering: int = -1) -> Iterator[BinaryIO]:
    """The file, with what can go wrong told apart: it is gone, it may not be read, its root or its drive failed."""
    try:
        with job.path.open("rb", buffering) as stream:
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

"""A file as a decoder sees it: without a name, with its header put right, and with every failure kept for afterwards.

Decoders read through callbacks, and an exception cannot pass through native code: it would be printed, and the decoder
would take what was read for the end of the file. So errors of the drive, and an interrupt, are kept here and raised as
soon as the decoder has returned. Whatever the decoder itself raises is the file's own fault, and its reason.
"""

import os
from typing import BinaryIO

import soundfile as sf

from beatsight_core.audio.decoding.quiet import put_stderr_back, turn_stderr_away
from beatsight_core.errors import AudioError

HEADER_READS = 1 << 17
"""How often a decoder may ask for bytes before it has found out what a file is; ordinary files take some dozens."""

_TAIL = 128
"""Bytes of the tag at the end of a file that a decoder asks for first; all that lies between is not there."""

_NO_FILE = 7
"""libsndfile's code for a stream in which its MP3 decoder finds nothing; it speaks of a file that does not exist."""


class UnusableAudioError(AudioError):
    """An error for one file whose content cannot be used. Its hits get no clip, and no other file is affected."""

    @classmethod
    def of(cls, what: str, where: str, why: str) -> "UnusableAudioError":
        """Return the error for a file that has to be replaced."""
        return cls(what, where=where, why=why, do="replace it")


class Source:
    """A stream for a decoder: the file from `skip` on, after some bytes that stand in for its beginning.

    It has no `name`, as a decoder would believe a name's ending rather than the content.

    Args:
        stream: The opened file, or its bytes.
        where: Name of the file in errors.
        head: Bytes that stand in for the file's first `skip` bytes.
        skip: Length of that beginning.
        told: Least length that the decoder is told; it then finds the true end when it comes. Its last bytes are the
            file's.

    Attributes:
        ran_out: True if a decoder that was told a greater length reached the end of the file.
    """

    def __init__(self, stream: BinaryIO, where: str, head: bytes = b"", skip: int = 0, told: int = 0):
        self.where = where
        self._stream = stream
        self._head, self._skip = head, skip
        self._shift = len(head) - skip
        self._place = 0
        length = stream.seek(0, os.SEEK_END) + self._shift
        self._length = max(length, told)
        self._gap = self._length - length
        self.ran_out = False
        self._fault: BaseException | None = None
        self._reads_left: int | None = HEADER_READS

    def header_is_read(self) -> None:
        """From now on every read is one of samples, and there may be any number of them."""
        self._reads_left = None

    def raise_fault(self) -> None:
        """Raise what went wrong while the decoder read.

        Raises:
            OSError: The drive failed.
            UnusableAudioError: The header does not end.
        """
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, or as near to it as the file reaches."""
        if whence != os.SEEK_SET:
            offset += self._place if whence == os.SEEK_CUR else self._length
        self._place = min(max(offset, 0), self._length)
        return self._place

    def tell(self) -> int:
        """Return the position that is read next."""
        return self._place

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer as far as the file reaches; nothing after a failure."""
        if self._fault is not None:
            return 0
        try:
            count = self._read(memoryview(buffer))
        except BaseException as error:  # noqa: BLE001 - it is raised once the decoder has returned
            self._fault = error
            return 0
        self._place += count
        return count

    def _read(self, buffer: memoryview) -> int:
        if self._reads_left is not None:
            self._reads_left -= 1
            if self._reads_left < 0:
                why = f"its header does not end within {HEADER_READS:,} reads"
                raise UnusableAudioError.of("An audio file cannot be read", self.where, why)
        if self._place < len(self._head):
            part = self._head[self._place : self._place + len(buffer)]
            buffer[: len(part)] = part
            return len(part)
        is_after_gap = self._gap and self._place >= self._length - _TAIL
        self._stream.seek(self._place - self._shift - (self._gap if is_after_gap else 0))
        count: int = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        self.ran_out |= bool(self._gap) and not is_after_gap and count < len(buffer)
        return count


class decoding:  # noqa: N801 - it is used as a function is, once for every block
    """Call a decoder in the block: what it prints goes nowhere, and what it raises becomes the file's reason.

    Args:
        source: Stream that the decoder reads.

    Raises:
        UnusableAudioError: The decoder refuses the file, in whatever way.
        OSError: The drive failed while the decoder read.
    """

    __slots__ = ("_source",)

    def __init__(self, source: Source):
        self._source = source

    def __enter__(self) -> None:
        turn_stderr_away()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        put_stderr_back()
        if error is None or (isinstance(error, Exception) and not isinstance(error, AudioError | OSError)):
            self._source.raise_fault()
        if isinstance(error, Exception) and not isinstance(error, AudioError | OSError):
            raise UnusableAudioError.of("An audio file cannot be read", self._source.where, _reason(error)) from error


def _reason(error: Exception) -> str:
    """What a decoder means, without the address of its stream that libsndfile's messages contain."""
    if isinstance(error, sf.LibsndfileError):
        return "it is not audio that can be read" if error.code == _NO_FILE else str(error.error_string)
    if isinstance(error, MemoryError):
        return "decoding it needs more memory than there is"
    return f"the decoder fails: {type(error).__name__}: {' '.join(str(error).split())}"

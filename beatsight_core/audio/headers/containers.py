"""How many samples a header promises, and whether that is a promise at all.

Stream writers and recorders that were switched off leave lengths that are none: zero, or something near the greatest
number that the field can hold. They mean "not known": the samples are those that follow. Any other length that goes
beyond the end of the file is a promise that was not kept. In both cases `Container.head` is the header with the length
put right, so that a decoder finds every sample that is there.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from beatsight_core.audio.headers.header_limits import Facts

MOST_CHUNKS = 10_000
"""Chunks that are looked at on the way to the samples."""

LONGEST_HEAD = 1 << 20
"""Bytes of the longest header that is put right; a longer one stays as it is."""

_BELOW = 0x10000
"""How far below 2**31 and 2**32 the lengths of stream writers lie: they subtract headers and round to blocks."""

_WIDE_UNKNOWN = 1 << 62
"""A 64-bit length from here on is none; -1 is the usual one."""


@dataclass(frozen=True, slots=True)
class Container:
    """The statements of a file's chunks.

    Attributes:
        facts: Format of the samples; None if no chunk says it.
        size: Length of the samples in bytes as the header states it; None if no chunk holds samples.
        promised: The same length; None if it stands for "not known".
        there: Number of bytes of samples that the file holds.
        head: Header to be read instead of the file's own; None if that one will do.
        skip: Length of the file's own header.
        told: Length of the file that the decoder is told; None for its own.
        fault: Reason, in words, why the file cannot be decoded; None if it may be.
    """

    facts: Facts | None = None
    size: int | None = None
    promised: int | None = None
    there: int = 0
    head: bytes | None = None
    skip: int = 0
    told: int | None = None
    fault: str | None = None

    @property
    def is_open_ended(self) -> bool:
        """Whether the header leaves open how many samples follow."""
        return self.size is not None and self.promised is None


@dataclass(frozen=True, slots=True)
class Samples:
    """The position of a file's samples, and the field of its header that holds their length.

    Attributes:
        begin: Position of the first sample.
        size: Length as it is written down.
        field: Position of the field.
        width: Bytes of the field, 4 or 8.
        order: Byte order of the field, "little" or "big".
        counted: Bytes that the length counts and that are no samples.
        before_chunks: True if other chunks may follow the samples.
    """

    begin: int
    size: int
    field: int
    width: int
    order: str
    counted: int = 0
    before_chunks: bool = True

    def is_unknown(self, there: int, stream: BinaryIO) -> bool:
        """Return whether the length is unknown, for a file that has so many bytes from the first sample on."""
        length = self.size - self.counted
        if length <= 0:
            return there > 0 and not self._chunks_follow(stream, 0)
        if length < there and self._chunks_follow(stream, length):
            return False
        went_round = self.width == 4 and there > 1 << 32 and (there - length) % (1 << 32) <= 1
        return went_round or (length != there and stands_for_unknown(self.size))

    def _chunks_follow(self, stream: BinaryIO, length: int) -> bool:
        """Whether all that follows so many bytes of samples is chunks, to the end of the file."""
        if not self.before_chunks:
            return False
        end, reached = stream.seek(0, os.SEEK_END), self.begin + length + (length & 1)
        for _, size, at in chunks(stream, reached, self.order, wide=self.width == 8):
            reached = at + size
        return end - 1 <= reached <= end + 1

    def head(self, stream: BinaryIO, there: int) -> bytes | None:
        """Return the bytes before the samples, with a length of `there`; None if there are too many of them."""
        if self.begin > LONGEST_HEAD:
            return None
        stream.seek(0)
        head = bytearray(stream.read(self.begin))
        length = min(there + self.counted, (1 << 8 * self.width) - 1)
        head[self.field : self.field + self.width] = length.to_bytes(self.width, self.order)  # type: ignore[arg-type]
        return bytes(head)


def container_of(stream: BinaryIO, facts: Facts | None, samples: Samples) -> Container:
    """Return the container of a file whose samples were found."""
    there = stream.seek(0, os.SEEK_END) - samples.begin
    if there < 0:
        fault = f"its header has the samples begin {-there:,} bytes after the end of the file"
        return Container(facts, samples.size, fault=fault)
    promised = None if samples.is_unknown(there, stream) else max(samples.size - samples.counted, 0)
    if promised is not None and promised <= there:
        return Container(facts, samples.size, promised, promised)
    return Container(facts, samples.size, promised, there, samples.head(stream, there), samples.begin)


def stands_for_unknown(size: int) -> bool:
    """Return whether a length, or a number of frames, is one that stands for "not known"."""
    near = any(greatest - _BELOW <= size <= greatest for greatest in (1 << 31, (1 << 32) - 1))
    return size == 0 or near or size >= _WIDE_UNKNOWN


def chunks(stream: BinaryIO, place: int, order: str, *, wide: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks of a file, as long as they make sense.

    Args:
        stream: The file.
        place: Byte offset of the first chunk.
        order: Byte order of their lengths.
        wide: True if lengths have 64 bits and chunks are not padded to even offsets.

    Yields:
        (id, length, where the content begins). The last is one that goes beyond the end of the file, or that is
        followed by something without a readable id.
    """
    end = stream.seek(0, os.SEEK_END)
    head = 12 if wide else 8
    for _ in range(MOST_CHUNKS):
        stream.seek(place)
        start = stream.read(head)
        if len(start) < head or not is_name(start[:4]):
            return
        size = int.from_bytes(start[4:], order)  # type: ignore[arg-type]
        yield start[:4], size, place + head
        place += head + size + (0 if wide else size & 1)
        if place > end:
            return


def is_name(name: bytes) -> bool:
    """Return whether four bytes can be the id of a chunk."""
    return not name.isspace() and all(0x20 <= byte < 0x7F for byte in name)

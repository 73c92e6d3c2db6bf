"""A manifest's bytes, cut into chunks at line ends. Bounded memory for files and lines of any length.

A plain file is never held: chunks are ranges that whoever parses them reads for themselves. Of a compressed file the
chunks carry their bytes. Offsets count from the start of the decompressed text.
"""

import functools
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beatsight_core.errors import ManifestError
from beatsight_core.files import storage_errors
from beatsight_core.manifest.identity import is_compressed
from beatsight_core.manifest.parsing.kinds import require_lines

CHUNK_BYTES = 16 << 20
MAX_LINE_BYTES = 16 << 20
BLOCK_BYTES = 256 << 10
"""Text parsed at a time: little enough for the objects made of it to stay in the processor's cache."""

WHITESPACE = b" \t\r\n"
"""What JSON allows around a value; a line of nothing else is blank."""

SHORTEST_EVENT = 100
"""An event with all its required fields has more bytes than this."""

_STEP_BYTES = 1 << 20
_LINE_BREAK = ord("\n")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of whole lines.

    Attributes:
        offset: Offset of its first byte in the decompressed text.
        size: Number of its bytes.
        data: Bytes themselves; None where they are to be read from the file.
        too_long: Flag of a chunk that is a single line of more than `MAX_LINE_BYTES`, which nobody should read.
    """

    offset: int
    size: int
    data: bytes | None = None
    too_long: bool = False

    def blocks(self, path: Path) -> Iterator[bytes]:
        """Yield the lines in runs of about `BLOCK_BYTES`, from `path` if the chunk does not carry them."""
        if self.data is not None:
            yield from _blocks(io.BytesIO(self.data), self.size)
            return
        with storage_errors(path), path.open("rb", buffering=0) as handle:
            handle.seek(self.offset)
            yield from _blocks(handle, self.size)


@dataclass(frozen=True, slots=True)
class SolidLines:
    """The lines of a block that are not blank.

    Attributes:
        lines: Bytes of each line, without its line break.
        places: Number of each line within the block, from 0, shape (lines,).
        offsets: Offset of each line in the block, in bytes, shape (lines,).
        total: Number of all lines of the block, blank ones too.
    """

    lines: list[bytes]
    places: Ints
    offsets: Ints
    total: int

    def __len__(self) -> int:
        return len(self.lines)


def solid_lines(block: bytes) -> SolidLines:
    """Cut a block into lines and leave out the blank ones, at a cost that hardly grows with their number."""
    ends = np.frombuffer(block, np.uint8) == _LINE_BREAK  # `bytes.count` takes its time where there are very many
    breaks = int(np.count_nonzero(ends))
    total = breaks + (not block.endswith(b"\n") and len(block) > 0)
    if breaks * SHORTEST_EVENT <= len(block):
        lines = block.split(b"\n")[:total]
        if b"" not in lines and not any(map(bytes.isspace, lines)):
            lengths = np.fromiter(map(len, lines), np.int64, total)
            return SolidLines(lines, np.arange(total), np.cumsum(lengths + 1) - lengths - 1, total)
    return _without_blank(block, total)


def _without_blank(block: bytes, total: int) -> SolidLines:
    """The same, where blank lines are to be expected: nothing is done for each of them."""
    data = np.frombuffer(block, np.uint8)
    blank = functools.reduce(np.logical_or, [data == ord(byte) for byte in WHITESPACE.decode()])
    if blank.all():
        return SolidLines([], np.zeros(0, np.int64), np.zeros(0, np.int64), total)
    starts = np.append(0, np.flatnonzero(data == _LINE_BREAK) + 1)[:total]
    places = np.flatnonzero(~np.logical_and.reduceat(blank, starts))
    offsets, ends = starts[places], np.append(starts[1:] - 1, len(block) - block.endswith(b"\n"))[places]
    lines = [block[start:end] for start, end in zip(offsets.tolist(), ends.tolist(), strict=True)]
    return SolidLines(lines, places, offsets, total)


def read_chunks(path: Path, chunk_bytes: int | None = None, start: int = 0) -> Iterator[Chunk]:
    """Cut a manifest into chunks that cover it without gaps.

    Where a chunk ends follows from where it begins and from the text up to there, so that a manifest which grows at
    its end keeps all its chunks but the last.

    Args:
        path: Path of the manifest.
        chunk_bytes: Size that a chunk has about; `CHUNK_BYTES` unless given.
        start: Offset of the first chunk: 0, or the offset of any chunk of a plain file.

    Raises:
        ManifestError: The file is something else than JSON lines, or a compressed one is damaged or cut.
        StorageError: The file cannot be read.
    """
    chunk_bytes = chunk_bytes or CHUNK_BYTES
    if start == 0:
        require_lines(path)
    if not is_compressed(path):
        with storage_errors(path), path.open("rb") as handle:
            yield from _ranges(handle.fileno(), start, os.fstat(handle.fileno()).st_size, chunk_bytes)
        return
    with storage_errors(path), path.open("rb") as handle:
        try:
            with pa.CompressedInputStream(handle, "gzip" if path.name.endswith(".gz") else "zstd") as text:
                yield from _pieces(text, chunk_bytes)
        except OSError as error:
            if error.errno is not None:  # from the drive, not from the codec
                raise
            raise ManifestError(
                "A compressed manifest is damaged or cut",
                where=path,
                why=str(error),
                do="copy or compress the file again",
            ) from error


def _blocks(handle: IO[bytes], size: int) -> Iterator[bytes]:
    """Read `size` bytes as runs of whole lines. Every byte is searched once, also those of a long line."""
    held: list[bytes] = []
    while size > 0 and (block := handle.read(min(BLOCK_BYTES, size))):
        size -= len(block)
        cut = block.rfind(b"\n") + 1
        if cut:
            yield b"".join([*held, block[:cut]])
            held.clear()
        if cut < len(block):
            held.append(block[cut:])
    if held:
        yield b"".join(held)


def _ranges(descriptor: int, start: int, size: int, chunk_bytes: int) -> Iterator[Chunk]:
    while start < size:
        end = min(start + chunk_bytes, size)
        if end < size:
            cut = _line_end_before(descriptor, start, end)
            end = cut if cut > start else _line_end_after(descriptor, end, size)
        yield Chunk(start, end - start, too_long=end - start > max(chunk_bytes, MAX_LINE_BYTES + 1))
        start = end


def _line_end_before(descriptor: int, start: int, end: int) -> int:
    """The position after the last line break in [start, end), or `start` if there is none."""
    while end > start:
        begin = max(start, end - _STEP_BYTES)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return start


def _line_end_after(descriptor: int, position: int, size: int) -> int:
    """The position after the first line break at or after `position`, or the file's size if there is none."""
    while position < size:
        found = os.pread(descriptor, _STEP_BYTES, position).find(b"\n")
        if found >= 0:
            return position + found + 1
        position += _STEP_BYTES
    return size


def _pieces(text: Any, chunk_bytes: int) -> Iterator[Chunk]:
    offset, size, ahead = 0, 0, b""
    held: list[bytes] = []
    while block := ahead or text.read(max(chunk_bytes - size, _STEP_BYTES)):
        cut, ahead = block.rfind(b"\n") + 1, b""
        if cut:
            yield Chunk(offset, size + cut, b"".join([*held, block[:cut]]))
            offset, size, held = offset + size + cut, 0, []
        if cut < len(block):
            held.append(block[cut:])
            size += len(block) - cut
        if size > MAX_LINE_BYTES:
            held.clear()
            size, ahead = _skip_line(text, size)
            yield Chunk(offset, size, too_long=True)
            offset, size = offset + size, 0
    if held:
        yield Chunk(offset, size, b"".join(held))


def _skip_line(text: Any, size: int) -> tuple[int, bytes]:
    """Read to the end of a line without holding it: its whole size, and what was read beyond."""
    while block := text.read(_STEP_BYTES):
        cut = block.find(b"\n") + 1
        if cut:
            return size + cut, block[cut:]
        size += len(block)
    return size, b""

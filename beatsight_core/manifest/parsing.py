"""Lines to columns: the fast ways for lines that are plainly valid, `checks` for those that are not.

Events are taken in small blocks. Where lines share most of their text it is read once (`frames`); where they do not,
each line is read, and then one field of all of them at a time. Whatever leaves a block in doubt makes it be read again
line by line by `checks.read_event`, which rejects what is wrong and brings the rest into a form without doubt. All ways
give the same columns.
"""

import contextlib
import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from beatsight_core.manifest import checks, fields
from beatsight_core.manifest.checks import RejectedError, Rules, UnknownLabels
from beatsight_core.manifest.columns import Columns
from beatsight_core.manifest.fields import DoubtError
from beatsight_core.manifest.frames import Frames
from beatsight_core.manifest.lines import MAX_LINE_BYTES

BOM = b"\xef\xbb\xbf"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that is not an event. `line` counts from 0 within its chunk; `offset` is its place in the whole text."""

    line: int
    offset: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a chunk held.

    Attributes:
        lines: All lines.
        read: Those that were not blank.
        events: The valid ones, in the columns of `EVENT_SCHEMA`; `line` counts from 0 within the chunk, and columns of
            few values are dictionaries.
        offsets: Of each event, where its line begins in the whole text.
        label_bits: Of each event, the set of its components as bits in class order.
        rejections: The others, with their reasons.
        unknown: Labels that the taxonomy lacks.
    """

    lines: int
    read: int
    events: pa.RecordBatch
    offsets: Ints
    label_bits: npt.NDArray[np.uint64]
    rejections: list[Rejection] = field(default_factory=list)
    unknown: UnknownLabels = field(default_factory=UnknownLabels)


def parse_lines(blocks: Iterable[bytes], offset: int, rules: Rules, most: int | None = None) -> ChunkResult:
    """Read the lines of a chunk.

    Args:
        blocks: Runs of whole lines; the last one may lack its line break.
        offset: Where they begin in the text.
        rules: What settings allow.
        most: Stop after so many lines that are not blank.
    """
    reader = _Reader(rules, most)
    with _no_collection():
        for block in blocks:
            start = len(BOM) if offset == 0 and block.startswith(BOM) else 0
            reader.read(block[start:], offset + start)
            offset += len(block)
            if reader.enough:
                break
    return reader.result()


class _Reader:
    """Reads the blocks of one chunk."""

    def __init__(self, rules: Rules, most: int | None):
        self._rules, self._most = rules, most
        self._columns, self._frames = Columns(rules), Frames()
        self._rejections: list[Rejection] = []
        self._unknown = UnknownLabels()
        self._lines = self._blank = 0

    @property
    def enough(self) -> bool:
        return self._most is not None and self._lines - self._blank >= self._most

    def read(self, block: bytes, offset: int) -> None:
        singly = self._most is not None or len(block) > MAX_LINE_BYTES
        if not singly and self._read_framed(block, offset):
            return
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if singly or not self._read_at_once(lines, offset, escapes=b"\\" in block):
            self._read_singly(lines, offset, cut=not block.endswith(b"\n"))

    def _read_framed(self, block: bytes, offset: int) -> bool:
        """Take all lines as events that share frames; false, with nothing taken, if that is in doubt."""
        if not self._frames.useful or not block.endswith(b"\n") or b"\\" in block:
            return False
        try:
            cut = self._frames.cut(block)
            self._columns.add_cut(cut, self._frames.fresh, self._lines, offset)
        except DoubtError:
            self._frames.drop_fresh()
            return False
        self._lines += len(cut.ids)
        return True

    def _read_at_once(self, lines: list[bytes], offset: int, *, escapes: bool) -> bool:
        """Take all lines as events; false, with nothing taken, if any of them is in doubt."""
        places = np.arange(self._lines, self._lines + len(lines))
        lengths = np.fromiter(map(len, lines), np.int64, len(lines))
        offsets = offset + fields.offsets_of(lengths + 1)[:-1]
        try:
            self._columns.add(list(map(orjson.loads, lines)), places, offsets, escapes=escapes)
        except (DoubtError, orjson.JSONDecodeError):
            return False
        self._lines += len(lines)
        return True

    def _read_singly(self, lines: list[bytes], offset: int, *, cut: bool) -> None:
        events, places, offsets = [], [], []
        for position, line in enumerate(lines):
            if self.enough:
                break
            place, begin = self._lines, offset
            self._lines, offset = self._lines + 1, offset + len(line) + 1
            if checks.is_blank(line):
                self._blank += 1
                continue
            try:
                events.append(self._event(line))
                places.append(place)
                offsets.append(begin)
            except RejectedError as refusal:
                message = refusal.message
                if cut and position == len(lines) - 1 and refusal.reason == "bad_json":
                    message += "; it is the last line and has no line end, so the file may have been cut"
                self._rejections.append(Rejection(place, begin, refusal.reason, message))
        if events:
            self._columns.add(events, np.array(places), np.array(offsets), escapes=False)

    def _event(self, line: bytes) -> dict[str, Any]:
        if len(line) > MAX_LINE_BYTES:
            raise RejectedError("line_too_long", f"the line has {len(line):,} bytes")
        return checks.read_event(line, self._rules, self._unknown)

    def result(self) -> ChunkResult:
        return ChunkResult(
            lines=self._lines,
            read=self._lines - self._blank,
            events=self._columns.batch(),
            offsets=self._columns.offsets(),
            label_bits=self._columns.label_bits(),
            rejections=self._rejections,
            unknown=self._unknown,
        )


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the cyclic garbage collector, which would walk millions of young objects and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()

"""Lines to columns: the fast ways for lines that are plainly valid, `checks` for those that are not.

Events are taken in small blocks. Where lines share most of their text it is read once (`alike_lines`); where they do
not, each line is read, and then one field of all of them at a time. Whatever leaves a block in doubt makes it be read
again line by line by `checks.read_event`, which rejects what is wrong and brings the rest into a form without doubt.
All ways give the same columns.
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

from beatsight_core.manifest.parsing import checks
from beatsight_core.manifest.parsing.alike_lines import Frames
from beatsight_core.manifest.parsing.checks import RejectedError, Rules, UnknownLabels
from beatsight_core.manifest.parsing.columns import Columns
from beatsight_core.manifest.parsing.fields import DoubtError
from beatsight_core.manifest.parsing.lines import MAX_LINE_BYTES, Ints, SolidLines, solid_lines
from beatsight_core.manifest.parsing.repeated_keys import (
    count_event_keys,
    count_keys,
    line_may_repeat,
    may_repeat,
    repeated_key,
)

BOM = b"\xef\xbb\xbf"

MOST_REFUSED = 200_000
"""More lines than this are refused of no chunk of events, which have more bytes each: a chunk of shorter lines is left
there, so that a small archive of endless nonsense fills neither memory nor drive."""


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
        whole: Whether it was read to its end, or to the lines that were wanted; if not, it holds nonsense.
    """

    lines: int
    read: int
    events: pa.RecordBatch
    offsets: Ints
    label_bits: npt.NDArray[np.uint64]
    rejections: list[Rejection] = field(default_factory=list)
    unknown: UnknownLabels = field(default_factory=UnknownLabels)
    whole: bool = True


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
            if reader.enough or reader.hopeless:
                break
    return reader.result()


class _Reader:
    """Reads the blocks of one chunk."""

    def __init__(self, rules: Rules, most: int | None):
        self._rules, self._most = rules, most
        self._columns, self._frames = Columns(rules), Frames()
        self._rejections: list[Rejection] = []
        self._unknown = UnknownLabels()
        self._lines = self._read = 0

    @property
    def enough(self) -> bool:
        """Whether all lines that are wanted were read."""
        return self._most is not None and self._read >= self._most

    @property
    def hopeless(self) -> bool:
        """Whether so many lines were refused that it makes no sense to go on."""
        return len(self._rejections) > MOST_REFUSED

    def read(self, block: bytes, offset: int) -> None:
        singly = self._most is not None or len(block) > MAX_LINE_BYTES
        if not singly and self._read_framed(block, offset):
            return
        found = solid_lines(block)
        if not found.lines:
            self._lines += found.total
        elif singly or not self._read_at_once(found, block, offset):
            self._read_singly(found, offset, cut=not block.endswith(b"\n"))

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
        self._read += len(cut.ids)
        return True

    def _read_at_once(self, found: SolidLines, block: bytes, offset: int) -> bool:
        """Take all lines as events; false, with nothing taken, if any of them is in doubt."""
        try:
            events = list(map(orjson.loads, found.lines))
            _require_single_keys(block, found.lines, events)
            self._columns.add(events, self._lines + found.places, offset + found.offsets, escapes=b"\\" in block)
        except (DoubtError, orjson.JSONDecodeError):
            return False
        self._lines += found.total
        self._read += len(found)
        return True

    def _read_singly(self, found: SolidLines, offset: int, *, cut: bool) -> None:
        events, places, offsets = [], [], []
        for line, place, begin in zip(found.lines, found.places.tolist(), found.offsets.tolist(), strict=True):
            if self.enough:
                break
            self._read += 1
            try:
                events.append(self._event(line))
                places.append(self._lines + place)
                offsets.append(offset + begin)
            except RejectedError as refusal:
                message = refusal.message
                if cut and place == found.total - 1 and refusal.reason == "bad_json":
                    message += "; it is the last line and has no line end, so the file may have been cut"
                self._rejections.append(Rejection(self._lines + place, offset + begin, refusal.reason, message))
        self._lines += found.total
        if events:
            self._columns.add(events, np.array(places), np.array(offsets), escapes=False)

    def _event(self, line: bytes) -> dict[str, Any]:
        if len(line) > MAX_LINE_BYTES:
            raise RejectedError("line_too_long", f"the line has {len(line):,} bytes")
        return checks.read_event(line, self._rules, self._unknown)

    def result(self) -> ChunkResult:
        return ChunkResult(
            lines=self._lines,
            read=self._read,
            events=self._columns.batch(),
            offsets=self._columns.offsets(),
            label_bits=self._columns.label_bits(),
            rejections=self._rejections,
            unknown=self._unknown,
            whole=not self.hopeless,
        )


def _require_single_keys(block: bytes, lines: list[bytes], events: list[Any]) -> None:
    """Make sure that no object names a key twice.

    Args:
        block: The text of the lines.
        lines: The lines.
        events: What they were read into.
    """
    if not may_repeat(block, count_event_keys(block, events)):
        return
    for line, event in zip(lines, events, strict=True):
        if line_may_repeat(line, count_keys([event])) and repeated_key(line) is not None:
            raise DoubtError


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

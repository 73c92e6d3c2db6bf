"""Lines to columns.

Lines are taken in small blocks. `schema` decodes each line; then `columns` takes one field of all of them at a time. A
line that does not fit the schema, or holds a value that its field may not hold, goes to `checks.read_event`. That gives
the reason why it is rejected; or it brings the line into a form that the columns take.
"""

import contextlib
import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from beatsight_core.manifest.parsing import checks
from beatsight_core.manifest.parsing.checks import RejectedError, Rules, UnknownLabels
from beatsight_core.manifest.parsing.columns import Block, Columns
from beatsight_core.manifest.parsing.lines import MAX_LINE_BYTES, Ints, solid_lines
from beatsight_core.manifest.parsing.schema import LineSchema

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
        lines: Number of all lines.
        read: Number of lines that were not blank.
        events: Events of the valid lines, in the columns of `EVENT_SCHEMA`; `line` counts from 0 within the chunk, and
            columns of few values are dictionaries.
        offsets: Offset of each event's line in the whole text, in bytes.
        label_bits: Set of each event's components, as bits in class order.
        rejections: Lines that are not events, with the reasons.
        unknown: Labels that the taxonomy lacks.
        whole: Flag of a chunk that was read to its end, or as far as lines were wanted; otherwise it holds nonsense.
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
        offset: Offset of the first run in the whole text, in bytes.
        rules: Rules of the settings that lines must keep.
        most: Number of lines, without blank ones, after which reading stops; all by default.
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
        self._schema = LineSchema()
        self._columns = Columns(rules, self._schema)
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
        """Take the lines of a block."""
        found = solid_lines(block)
        wanted = len(found) if self._most is None else min(len(found), self._most - self._read)
        if wanted:
            lines = found.lines[:wanted]
            short = lines
            if len(block) > MAX_LINE_BYTES:
                short = [line if len(line) <= MAX_LINE_BYTES else b"" for line in lines]
            places, offsets = self._lines + found.places[:wanted], offset + found.offsets[:wanted]
            cut_place = -1 if block.endswith(b"\n") else self._lines + found.total - 1
            before = len(self._rejections)
            self._take(Block(block, lines, self._schema.decode(short), places, offsets), cut_place)
            self._rejections[before:] = sorted(self._rejections[before:], key=attrgetter("line"))
        self._lines += found.total
        self._read += wanted

    def _take(self, block: Block, cut_place: int) -> None:
        """Take the events of a block. Lines in doubt are read with care first, and left out if that rejects them."""
        doubted = [row for row, event in enumerate(block.events) if event is None]
        careful: set[int] = set()
        while block.lines:
            doubted = doubted or self._columns.add(block)
            if not doubted:
                return
            if careful & (again := set(block.places[doubted].tolist())):
                raise AssertionError(f"the line at {careful & again} of this chunk is neither taken nor rejected")
            careful |= again
            rejected = [row for row in doubted if not self._read_with_care(block, row, cut_place)]
            block, doubted = block.without(rejected), []

    def _read_with_care(self, block: Block, row: int, cut_place: int) -> bool:
        """Bring a line into a form that the columns take, and return whether that can be done; if not, reject it."""
        line, place = block.lines[row], int(block.places[row])
        try:
            if len(line) > MAX_LINE_BYTES:
                raise RejectedError("line_too_long", f"the line has {len(line):,} bytes")
            event = checks.read_event(line, self._rules, self._unknown)
        except RejectedError as refusal:
            message = refusal.message
            if place == cut_place and refusal.reason == "bad_json":
                message += "; it is the last line and has no line end, so the file may have been cut"
            self._rejections.append(Rejection(place, int(block.offsets[row]), refusal.reason, message))
            return False
        block.events[row], block.lines[row] = self._schema.event_of(event), orjson.dumps(event)
        return True

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

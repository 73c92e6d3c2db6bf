"""Lines to columns: the fast way for lines that are plainly valid, `checks` for those that are not.

Events are taken in small blocks, one field of all of them at a time. Whatever leaves a block in doubt makes it be read
again line by line by `checks.read_event`, which rejects what is wrong and brings the rest into a form without doubt.
Both ways give the same columns.
"""

import contextlib
import gc
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from beatsight_core.manifest import checks, fields
from beatsight_core.manifest.checks import RejectedError, Rules, UnknownLabels
from beatsight_core.manifest.events import EVENT_SCHEMA
from beatsight_core.manifest.fields import DoubtError, TextColumn, Vocabulary
from beatsight_core.manifest.lines import MAX_LINE_BYTES

_ALWAYS = ("session_id", "source_set", "audio_path")

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
        self._columns = _Columns(rules)
        self._rejections: list[Rejection] = []
        self._unknown = UnknownLabels()
        self._lines = self._blank = 0

    @property
    def enough(self) -> bool:
        return self._most is not None and self._lines - self._blank >= self._most

    def read(self, block: bytes, offset: int) -> None:
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        singly = self._most is not None or len(block) > MAX_LINE_BYTES
        if singly or not self._read_at_once(lines, offset, escapes=b"\\" in block):
            self._read_singly(lines, offset, cut=not block.endswith(b"\n"))

    def _read_at_once(self, lines: list[bytes], offset: int, *, escapes: bool) -> bool:
        """Take all lines as events; false, with nothing taken, if any of them is in doubt."""
        places = np.arange(self._lines, self._lines + len(lines))
        lengths = np.fromiter(map(len, lines), np.int64, len(lines))
        try:
            self._columns.add(
                list(map(orjson.loads, lines)), places, offset + fields.offsets_of(lengths + 1)[:-1], escapes=escapes
            )
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


class _Columns:
    """Grows the columns of a chunk block by block; a block in doubt leaves nothing behind."""

    def __init__(self, rules: Rules):
        index = rules.taxonomy.index
        self._components = rules.taxonomy.components
        self._label_codes = {spelling: index[label] for spelling, label in rules.taxonomy.canonical.items()}
        self._vocabularies = {
            "session_id": Vocabulary(fields.accept_id),
            "source_set": Vocabulary(fields.accept_id),
            "audio_path": Vocabulary(fields.accept_path),
            **{name: Vocabulary(fields.accept_description) for name in checks.DESCRIPTIONS},
        }
        self._techniques = Vocabulary(fields.accept_techniques)
        self._buckets = Vocabulary(fields.accept_bucket, fields.BUCKET_NAMES)
        self._ids, self._extras = TextColumn(), TextColumn()
        self._parts: list[dict[str, Any]] = []

    def add(self, events: list[Any], places: Ints, offsets: Ints, *, escapes: bool) -> None:
        """Take parsed lines, consuming them.

        Args:
            events: What the lines hold.
            places: Their line numbers within the chunk.
            offsets: Where they begin in the text.
            escapes: Whether texts may hold escaped characters.

        Raises:
            DoubtError: Some line may not be valid, or is valid in an unusual way.
        """
        if set(map(type, events)) != {dict}:
            raise DoubtError
        part: dict[str, Any] = {"line": places, "offset": offsets}
        ids = fields.event_ids(events, escapes=escapes)
        for name in _ALWAYS:
            part[name] = self._vocabularies[name].encode([event.pop(name, None) for event in events])
        part["onset_time"] = fields.onsets([event.pop("onset_time", None) for event in events])
        self._take_components(part, events)
        keys = fields.technique_keys([event.pop("techniques", None) for event in events])
        part["techniques"] = self._techniques.encode(keys)
        for name in checks.FLAGS:
            part[name] = fields.flags([event.pop(name, None) for event in events])
        left = set().union(*events)  # most optional fields are in no event at all
        for name in checks.DESCRIPTIONS:
            part[name] = self._vocabularies[name].encode(_column(events, name, name in left))
        for name, wanted in checks.NESTED.items():
            part |= fields.nested_numbers(_column(events, name, name in left), name, wanted, events)
        extras = _extras(events)
        self._ids.add_strings(ids)
        self._extras.add(extras)
        self._parts.append(part)

    def _take_components(self, part: dict[str, Any], events: list[dict[str, Any]]) -> None:
        lists = [event.pop("components", None) for event in events]
        if set(map(type, lists)) != {list} or not all(lists):
            raise DoubtError
        flat: list[Any] = list(itertools.chain.from_iterable(lists))
        if set(map(type, flat)) != {dict}:
            raise DoubtError
        part["counts"] = np.fromiter(map(len, lists), np.int32, len(lists))
        part["labels"] = self._labels([item.pop("label", None) for item in flat])
        for name in checks.COMPONENT_RANGES:
            part[name] = fields.numbers([item.pop(name, None) for item in flat], 0.0, 1.0)
        buckets = self._buckets.encode([item.pop("dynamic_bucket", None) for item in flat])
        part["buckets"] = fields.filled_buckets(buckets, part["velocity"])
        if any(flat):
            # What components hold besides goes where other fields go, in the shape it came in.
            for event, components in zip(events, lists, strict=True):
                if any(components):
                    event["components"] = components

    def _labels(self, labels: list[Any]) -> npt.NDArray[np.int32]:
        try:
            return np.fromiter(map(self._label_codes.__getitem__, labels), np.int32, len(labels))
        except (KeyError, TypeError):
            raise DoubtError from None

    def offsets(self) -> Ints:
        """Of each event, where its line begins."""
        return self._joined("offset") if self._parts else np.zeros(0, np.int64)

    def label_bits(self) -> npt.NDArray[np.uint64]:
        """Of each event, its components as a set of bits."""
        if not self._parts:
            return np.zeros(0, np.uint64)
        bits = np.left_shift(np.uint64(1), self._joined("labels").astype(np.uint64))
        starts = fields.offsets_of(self._joined("counts"))[:-1]
        return np.asarray(np.bitwise_or.reduceat(bits, starts), np.uint64)

    def batch(self) -> pa.RecordBatch:
        """All that was taken, in the order of `EVENT_SCHEMA`."""
        if not self._parts:
            return pa.RecordBatch.from_pylist([], schema=EVENT_SCHEMA)
        offsets = pa.array(fields.offsets_of(self._joined("counts")), pa.int32())
        techniques = pa.array([list(value) for value in self._techniques.values], pa.list_(pa.string()))
        labels = fields.dictionary_array(self._joined("labels"), self._components)
        columns: dict[str, pa.Array] = {
            "line": pa.array(self._joined("line"), pa.int64()),
            "event_id": self._ids.array(),
            "onset_time": pa.array(self._joined("onset_time")),
            "labels": pa.ListArray.from_arrays(offsets, labels),
            "velocities": pa.ListArray.from_arrays(offsets, fields.nullable_floats(self._joined("velocity"))),
            "openness": pa.ListArray.from_arrays(offsets, fields.nullable_floats(self._joined("openness"))),
            "dynamic_buckets": pa.ListArray.from_arrays(offsets, self._buckets.array(self._joined("buckets"))),
            "techniques": techniques.take(pa.array(self._joined("techniques"))),
            "context_pre_ms": fields.nullable_floats(self._joined("context_ms.pre")),
            "context_post_ms": fields.nullable_floats(self._joined("context_ms.post")),
            "loudness_lufs": fields.nullable_floats(self._joined("loudness.LUFS_i")),
            "loudness_peak_dbfs": fields.nullable_floats(self._joined("loudness.peak_dbfs")),
            "extra": self._extras.array(),
        }
        columns |= {name: vocabulary.array(self._joined(name)) for name, vocabulary in self._vocabularies.items()}
        columns |= {name: pa.array(self._joined(name)) for name in checks.FLAGS}
        names = EVENT_SCHEMA.names
        return pa.RecordBatch.from_arrays([columns[name] for name in names], names=names)

    def _joined(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate([part[name] for part in self._parts])


def _column(events: list[dict[str, Any]], name: str, there: bool) -> list[Any]:
    return [event.pop(name, None) for event in events] if there else [None] * len(events)


def _extras(events: list[dict[str, Any]]) -> list[bytes | None]:
    """Every other field, unknown ones too, as JSON objects with sorted keys."""
    try:
        return [orjson.dumps(event, option=orjson.OPT_SORT_KEYS) if event else None for event in events]
    except TypeError:  # nested deeper than can be written
        raise DoubtError from None


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

"""The columns of a chunk, grown block by block, one field of all events of a block at a time."""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
from msgspec import UNSET, Raw, UnsetType

from beatsight_core.manifest.events import EVENT_SCHEMA
from beatsight_core.manifest.parsing import checks
from beatsight_core.manifest.parsing.arrays import (
    Floats,
    dictionary_array,
    nullable_floats,
    offsets_of,
    text_array,
)
from beatsight_core.manifest.parsing.checks import Rules
from beatsight_core.manifest.parsing.extras import Extras
from beatsight_core.manifest.parsing.lines import Ints
from beatsight_core.manifest.parsing.repeated_keys import count_keys, line_may_repeat, may_repeat, repeated_key
from beatsight_core.manifest.parsing.schema import Column, Event, LineSchema
from beatsight_core.manifest.parsing.vocabulary import REFUSED, Vocabulary, dictionary_of
from beatsight_core.taxonomy import VELOCITY_BUCKETS

_BUCKET_NAMES = tuple(name for name, _ in VELOCITY_BUCKETS)
_BUCKET_UPPERS = np.array([upper for _, upper in VELOCITY_BUCKETS[:-1]])
_NESTED = {"context_ms": ("context_pre_ms", "context_post_ms"), "loudness": ("loudness_lufs", "loudness_peak_dbfs")}
_DICTIONARIES = ("session_id", "source_set", "audio_path", *checks.DESCRIPTIONS)
_Part = dict[str, npt.NDArray[Any]]
_FLAGS = ("is_synthetic", "negative_example")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that the schema has decoded.

    Attributes:
        text: Text of all lines.
        lines: Text of each line.
        events: Event of each line; None where the line does not fit the schema.
        places: Number of each line within the chunk.
        offsets: Offset of each line in the whole text, in bytes.
    """

    text: bytes
    lines: list[bytes]
    events: list[Event | None]
    places: Ints
    offsets: Ints

    def without(self, rows: list[int]) -> "Block":
        """Return the block without some of its rows."""
        kept = np.delete(np.arange(len(self.lines)), rows)
        lines, events = [self.lines[row] for row in kept], [self.events[row] for row in kept]
        return Block(b"\n".join(lines), lines, events, self.places[kept], self.offsets[kept])


class Columns:
    """Grows the columns of a chunk.

    Args:
        rules: Rules of the settings that lines must keep.
        schema: Schema that decodes the lines.
    """

    def __init__(self, rules: Rules, schema: LineSchema):
        index = rules.taxonomy.index
        self._components = rules.taxonomy.components
        self._label_codes = {spelling: index[label] for spelling, label in rules.taxonomy.canonical.items()}
        self._vocabularies = {name: Vocabulary(read) for name, read in checks.FIELDS.items()}
        self._buckets: dict[str | UnsetType | None, int] = {UNSET: 0, None: 0}
        self._buckets |= {name: code for code, name in enumerate(_BUCKET_NAMES, start=1)}
        self._schema = schema
        self._extras = Extras({name: self._vocabularies[name] for name in _NESTED})
        self._ids: list[str] = []
        self._parts: list[dict[str, npt.NDArray[Any]]] = []

    def add(self, block: Block) -> list[int]:
        """Take the events of a block, of which there is at least one.

        Returns:
            The rows that may not be valid, or are valid in an unusual way. If there is any, no event is taken.
        """
        events = [event for event in block.events if event is not None]
        fields, count = self._schema.columns(events), len(events)
        ids = _event_ids(fields)
        refused = np.zeros(count, bool)
        if not all(ids) or "\n" in "".join(ids):
            refused[:] = [not value or "\n" in value for value in ids]
        counts = np.fromiter(map(len, fields["components"]), np.int32, count)
        refused |= counts == 0
        part: _Part = {"line": block.places, "offset": block.offsets, "counts": counts}
        part["onset_time"] = _held(np.array(fields["onset_time"], np.float64), checks.MAX_ONSET_S, refused)
        keys = 3 * count  # event_id, onset_time and components
        components: dict[str, Column] = {}
        if counts.any():
            components = self._schema.component_columns(list(chain.from_iterable(fields["components"])))
            wrong = np.zeros(counts.sum(), bool)
            keys += self._take_components(part, components, wrong)
            refused[np.repeat(np.arange(count), counts)[wrong]] = True
        for name, vocabulary in self._vocabularies.items():
            column = vocabulary.encode(fields[name])
            part[name] = column.codes
            refused |= column.codes == REFUSED
            keys += column.keys
        extra = self._extras.encode(fields, components, counts, {name: part[name] for name in _NESTED})
        part["extra"] = extra.codes
        refused |= extra.codes == REFUSED
        rows = np.flatnonzero(refused).tolist()
        if not rows and may_repeat(block.text, keys + extra.keys):
            rows = [row for row, line in enumerate(block.lines) if _repeats(line)]
        if not rows:
            self._ids += ids
            self._parts.append(part)
        return rows

    def _take_components(self, part: _Part, fields: dict[str, Column], wrong: npt.NDArray[np.bool_]) -> int:
        """Take the fields of components that have columns, mark the wrong ones, and return the number of keys."""
        labels, buckets, count = fields["label"], fields["dynamic_bucket"], len(wrong)
        codes = self._label_codes
        part["labels"] = np.fromiter([codes.get(label, -1) for label in labels], np.int32, count)
        wrong |= part["labels"] < 0
        for name in set(buckets) - self._buckets.keys():
            self._buckets[name] = len(self._buckets) - 1
        part["buckets"] = np.fromiter(map(self._buckets.__getitem__, buckets), np.int32, count)
        keys = 2 * count - buckets.count(UNSET)
        for name in checks.COMPONENT_RANGES:
            numbers = fields[name]
            missing = numbers.count(UNSET)
            if missing:
                numbers = [None if number is UNSET else number for number in numbers]
            part[name] = _held(np.array(numbers, np.float64), 1.0, wrong)
            keys += count - missing
        return keys

    def offsets(self) -> Ints:
        """Return where the line of each event begins."""
        return self._joined("offset") if self._parts else np.zeros(0, np.int64)

    def label_bits(self) -> npt.NDArray[np.uint64]:
        """Return the components of each event as a set of bits."""
        if not self._parts:
            return np.zeros(0, np.uint64)
        return label_bits(self._joined("labels"), self._joined("counts"))

    def batch(self) -> pa.RecordBatch:
        """Return all that was taken, in the order of `EVENT_SCHEMA`."""
        if not self._parts:
            return pa.RecordBatch.from_pylist([], schema=EVENT_SCHEMA)
        offsets = pa.array(offsets_of(self._joined("counts")), pa.int32())
        velocities = self._joined("velocity")
        columns: dict[str, pa.Array] = {
            "line": pa.array(self._joined("line"), pa.int64()),
            "event_id": text_array(self._ids),
            "onset_time": pa.array(self._joined("onset_time")),
            "labels": pa.ListArray.from_arrays(offsets, dictionary_array(self._joined("labels"), self._components)),
            "velocities": pa.ListArray.from_arrays(offsets, nullable_floats(velocities)),
            "openness": pa.ListArray.from_arrays(offsets, nullable_floats(self._joined("openness"))),
            "dynamic_buckets": pa.ListArray.from_arrays(offsets, self._bucket_array(velocities)),
            "extra": self._extras.array(self._joined("extra")),
        }
        for name in _DICTIONARIES:
            columns[name] = dictionary_of(self._joined(name), self._vocabularies[name].values)
        for name in _FLAGS:
            columns[name] = pa.array(np.array(self._vocabularies[name].values, bool)[self._joined(name)])
        techniques = pa.array(map(list, self._vocabularies["techniques"].values), pa.list_(pa.string()))
        columns["techniques"] = techniques.take(pa.array(self._joined("techniques")))
        for name, names in _NESTED.items():
            table = np.array([value.numbers for value in self._vocabularies[name].values])[self._joined(name)]
            columns |= {column: nullable_floats(table[:, place]) for place, column in enumerate(names)}
        return pa.RecordBatch.from_arrays([columns[name] for name in EVENT_SCHEMA.names], names=EVENT_SCHEMA.names)

    def _bucket_array(self, velocities: Floats) -> pa.DictionaryArray:
        """Return dynamic buckets as given, else from the velocity."""
        given = self._joined("buckets")
        derived = 1 + np.searchsorted(_BUCKET_UPPERS, velocities)
        codes = np.where((given == 0) & ~np.isnan(velocities), derived, given)
        names = [name for name in self._buckets if isinstance(name, str)]
        return dictionary_of(codes, [None, *names], _BUCKET_NAMES)

    def _joined(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate([part[name] for part in self._parts])


def label_bits(codes: npt.NDArray[Any], counts: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return the components of each event as a set of bits.

    Args:
        codes: Classes of all components, shape (components,).
        counts: Number of components of each event, at least one, shape (events,).
    """
    bits = np.left_shift(np.uint64(1), codes.astype(np.uint64))
    return np.asarray(np.bitwise_or.reduceat(bits, offsets_of(counts)[:-1]), np.uint64)


def _event_ids(fields: dict[str, Column]) -> list[str]:
    """Return the ids of events, each from `sample_id` where there is no `event_id`; one that is wrong is empty."""
    ids, others = list(fields["event_id"]), list(fields["sample_id"])
    if set(map(type, ids)) != {str}:
        for row, value in enumerate(ids):
            if not isinstance(value, str):
                ids[row], others[row] = _text(others[row]), UNSET
        fields["sample_id"] = others
    return ids


def _text(raw: Raw | UnsetType) -> str:
    """Return the string that a text in JSON stands for; empty where it is none."""
    try:
        value = None if raw is UNSET else orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, str) else ""


def _held(values: Floats, most: float, wrong: npt.NDArray[np.bool_]) -> Floats:
    """Return numbers as the range from 0 holds them, as `checks.in_range` gives each; NaN stays."""
    wrong |= (values < -checks.ROUNDING) | (values > most + checks.ROUNDING)
    return np.clip(values, 0.0, most) + 0.0  # -0.0 becomes 0.0


def _repeats(line: bytes) -> bool:
    return line_may_repeat(line, count_keys([orjson.loads(line)])) and repeated_key(line) is not None

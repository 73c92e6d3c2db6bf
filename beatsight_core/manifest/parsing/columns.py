"""The columns of a chunk, grown block by block, one field of all events of a block at a time."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from beatsight_core.manifest.events import EVENT_SCHEMA
from beatsight_core.manifest.parsing import checks, fields
from beatsight_core.manifest.parsing.alike_lines import CutLines
from beatsight_core.manifest.parsing.checks import Rules
from beatsight_core.manifest.parsing.fields import Codes, DoubtError, TextColumn, Texts, Vocabulary

_ALWAYS = ("session_id", "source_set", "audio_path")

Ints = npt.NDArray[np.int64]
_Event = dict[str, Any]
_Part = dict[str, npt.NDArray[Any]]


class Columns:
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
        self._ids, self._extras = TextColumn(), Texts()
        self._parts: list[_Part] = []
        self._frames: _Part = {}
        self._frame_extras: list[_Event] = []
        self._full_extras: dict[tuple[int, bytes], int] = {}

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
        part: _Part = {"line": places, "offset": offsets}
        ids = fields.event_ids(events, escapes=escapes)
        part["onset_time"] = fields.onsets([event.pop("onset_time", None) for event in events])
        lists = [event.pop("components", None) for event in events]
        if self._take_components(part, lists):
            # What components hold besides goes where other fields go, in the shape it came in.
            for event, components in zip(events, lists, strict=True):
                if any(components):
                    event["components"] = components
        part |= self._shared_fields(events)
        self._ids.add_strings(ids)
        self._parts.append(part)

    def add_cut(self, cut: CutLines, fresh: list[_Event], place: int, offset: int) -> None:
        """Take lines that were cut, consuming them.

        Args:
            cut: The lines.
            fresh: What their frames hold that come for the first time.
            place: The first one's number within the chunk.
            offset: Where it begins in the text.

        Raises:
            DoubtError: As `add`; the fresh frames are then as if they had not come.
        """
        part: _Part = {
            "line": np.arange(place, place + len(cut.ids)),
            "offset": offset + fields.offsets_of(cut.sizes)[:-1],
            "onset_time": fields.onsets(cut.onsets),
        }
        more = self._take_components(part, cut.components)
        rests = [fields.sorted_json(item) if any(item) else b"" for item in cut.components] if more else []
        if fresh:
            self._add_frames(fresh)
        part |= {name: values[cut.frames] for name, values in self._frames.items()}
        if rests:
            part["extra"] = self._with_components(cut.frames, part["extra"], rests)
        self._ids.add(cut.ids)
        self._parts.append(part)

    def _add_frames(self, events: list[_Event]) -> None:
        part = self._shared_fields(events)
        before = self._frames or {name: values[:0] for name, values in part.items()}
        self._frames = {name: np.concatenate([before[name], values]) for name, values in part.items()}
        self._frame_extras += events

    def _with_components(self, frames: Codes, extras: npt.NDArray[Any], rests: list[bytes]) -> Codes:
        """The extras of cut lines: their frames', with what their components hold besides."""
        codes = []
        known = self._full_extras
        for key, extra in zip(zip(frames.tolist(), rests, strict=True), extras.tolist(), strict=True):
            code = known.get(key) if key[1] else extra
            if code is None:
                full = self._frame_extras[key[0]] | {"components": orjson.loads(key[1])}
                code = known[key] = self._extras.code(fields.sorted_json(full))
            codes.append(code)
        return np.array(codes, np.int32)

    def _shared_fields(self, events: list[_Event]) -> _Part:
        """The fields that events mostly share with their neighbours, and all that have no column of their own."""
        part: _Part = {}
        for name in _ALWAYS:
            part[name] = self._vocabularies[name].encode([event.pop(name, None) for event in events])
        keys = fields.technique_keys([event.pop("techniques", None) for event in events])
        part["techniques"] = self._techniques.encode(keys)
        for name in checks.FLAGS:
            part[name] = fields.flags([event.pop(name, None) for event in events])
        left = set().union(*events)  # most optional fields are in no event at all
        for name in checks.DESCRIPTIONS:
            part[name] = self._vocabularies[name].encode(_column(events, name, name in left))
        for name, wanted in checks.NESTED.items():
            part |= fields.nested_numbers(_column(events, name, name in left), name, wanted, events)
        texts = [fields.sorted_json(event) if event else None for event in events]
        part["extra"] = np.fromiter(map(self._extras.code, texts), np.int32, len(texts))
        return part

    def _take_components(self, part: _Part, lists: list[Any]) -> bool:
        """Take the fields of components that have columns; whether they hold more."""
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
        return any(flat)

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
        return label_bits(self._joined("labels"), self._joined("counts"))

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
            "extra": self._extras.array(self._joined("extra")),
        }
        columns |= {name: vocabulary.array(self._joined(name)) for name, vocabulary in self._vocabularies.items()}
        columns |= {name: pa.array(self._joined(name)) for name in checks.FLAGS}
        names = EVENT_SCHEMA.names
        return pa.RecordBatch.from_arrays([columns[name] for name in names], names=names)

    def _joined(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate([part[name] for part in self._parts])


def label_bits(codes: npt.NDArray[Any], counts: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Of each event, its components as a set of bits.

    Args:
        codes: Classes of all components, shape (components,).
        counts: Components of each event, at least one, shape (events,).
    """
    bits = np.left_shift(np.uint64(1), codes.astype(np.uint64))
    return np.asarray(np.bitwise_or.reduceat(bits, fields.offsets_of(counts)[:-1]), np.uint64)


def _column(events: list[dict[str, Any]], name: str, there: bool) -> list[Any]:
    return [event.pop(name, None) for event in events] if there else [None] * len(events)

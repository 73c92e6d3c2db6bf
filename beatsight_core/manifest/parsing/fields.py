"""One field of many events at a time: from Python values to arrays, with no work per event that can be avoided.

Every encoder takes plainly valid values only and raises `DoubtError` at anything else; `checks` then judges each line.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from beatsight_core.manifest.parsing import checks
from beatsight_core.taxonomy import VELOCITY_BUCKETS

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

BUCKET_NAMES = tuple(name for name, _ in VELOCITY_BUCKETS)

_BUCKET_UPPERS = np.array([upper for _, upper in VELOCITY_BUCKETS[:-1]])
_NUMBERS = {int, float}
_MAYBE_NUMBERS = {int, float, type(None)}
_MAYBE_FLAGS = {bool, type(None)}
_MAYBE_OBJECTS = {dict, type(None)}
_KEYED = {str, tuple, type(None)}


class DoubtError(Exception):
    """A batch holds something that only `checks` can judge."""


class Vocabulary:
    """A field in which many events share few values, as codes; each new value is judged once.

    Args:
        accept: Gives a value in its final form, None for null, or raises `DoubtError`.
        values: Values known beforehand.
    """

    def __init__(self, accept: Callable[[Any], Any], values: Sequence[Any] = ()):
        self._accept = accept
        self.values = list(values)
        self._codes = {value: code for code, value in enumerate(self.values)}

    def encode(self, column: list[Any]) -> Codes:
        """The codes of a column; -1 stands for null."""
        try:
            return self._encode(column)
        except TypeError:  # something that cannot be looked up
            raise DoubtError from None

    def _encode(self, column: list[Any]) -> Codes:
        first, count = column[0], len(column)
        if type(first) in _KEYED and column.count(first) == count:
            return np.full(count, self._code(first), np.int32)
        try:
            return self._looked_up(column)
        except KeyError:
            pass  # something new
        if not set(map(type, column)) <= _KEYED:
            return np.fromiter(map(self._code, column), np.int32, count)
        for value in dict.fromkeys(column):
            self._code(value)
        return self._looked_up(column)

    def _looked_up(self, column: list[Any]) -> Codes:
        return np.fromiter(map(self._codes.__getitem__, column), np.int32, len(column))

    def array(self, codes: Codes) -> pa.DictionaryArray:
        """Codes as an Arrow dictionary; values that no event uses are left out."""
        return compact_dictionary(codes, self.values)

    def _code(self, value: Any) -> int:
        # Only text and the like is looked up: 1, 1.0 and True would find each other.
        keyed = type(value) in _KEYED
        if keyed and value in self._codes:
            return self._codes[value]
        accepted = self._accept(value)
        code = -1 if accepted is None else self._codes.setdefault(accepted, len(self.values))
        if code == len(self.values):
            self.values.append(accepted)
        if keyed:
            self._codes[value] = code
        return code


class Texts:
    """Texts of which many events share one, as codes."""

    def __init__(self) -> None:
        self._codes: dict[bytes | None, int] = {None: -1}

    def code(self, text: bytes | None) -> int:
        """The code of a UTF-8 text; -1 stands for null."""
        return self._codes.setdefault(text, len(self._codes) - 1)

    def array(self, codes: Codes) -> pa.DictionaryArray:
        """Codes as an Arrow dictionary; texts that no event uses are left out."""
        return compact_dictionary(codes, [text.decode() for text in self._codes if text is not None])


class TextColumn:
    """Text that differs from event to event, kept as one run of bytes per batch."""

    def __init__(self) -> None:
        self._runs: list[bytes] = []
        self._lengths: list[Codes] = []

    def add(self, texts: Sequence[bytes | None]) -> None:
        """Append UTF-8 texts; None is null."""
        whole = texts if all(texts) else [text or b"" for text in texts]
        self._runs.append(b"".join(whole))  # type: ignore[arg-type]
        self._lengths.append(np.fromiter((-1 if text is None else len(text) for text in texts), np.int32, len(texts)))

    def add_strings(self, texts: Sequence[str]) -> None:
        """Append strings."""
        joined = "".join(texts)
        if joined.isascii():
            self._runs.append(joined.encode())
            self._lengths.append(np.fromiter(map(len, texts), np.int32, len(texts)))
        else:
            self.add([text.encode() for text in texts])

    def array(self) -> pa.StringArray:
        """All of it as an Arrow array."""
        lengths = np.concatenate(self._lengths)
        offsets = offsets_of(np.maximum(lengths, 0)).astype(np.int32)
        valid = pa.py_buffer(np.packbits(lengths >= 0, bitorder="little")) if (lengths < 0).any() else None
        buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(b"".join(self._runs))]
        return pa.Array.from_buffers(pa.string(), len(lengths), buffers)


def accept_id(value: Any) -> str:
    """A required identifier."""
    if type(value) is not str or not value or "\n" in value:
        raise DoubtError
    return value


def accept_path(value: Any) -> str:
    """An `audio_path`, normalised."""
    if type(value) is not str:
        raise DoubtError
    try:
        return checks.normalise_path(value)
    except checks.RejectedError:
        raise DoubtError from None


def accept_description(value: Any) -> str | None:
    """An optional descriptive value; numbers become their text."""
    if not checks.is_description(value):
        raise DoubtError
    return None if value is None else str(value)


def accept_bucket(value: Any) -> str | None:
    """A `dynamic_bucket` as given."""
    if value is not None and type(value) is not str:
        raise DoubtError
    return value


def accept_techniques(value: tuple[Any, ...]) -> tuple[str, ...]:
    """A tuple of technique names."""
    if set(map(type, value)) - {str}:
        raise DoubtError
    return value


def event_ids(events: list[dict[str, Any]], *, escapes: bool) -> list[str]:
    """Take the ids out of events. Without `escapes` in the text no id can hold a line break."""
    ids = [event.pop("event_id", None) for event in events]
    if None in ids:
        ids = [
            event.pop("sample_id", None) if known is None else known for known, event in zip(ids, events, strict=True)
        ]
    if set(map(type, ids)) != {str} or not all(ids) or (escapes and "\n" in "".join(ids)):
        raise DoubtError
    return ids


def technique_keys(column: list[Any]) -> list[Any]:
    """Lists of techniques as something that can be looked up."""
    if not set(map(type, column)) <= {list, type(None)}:
        raise DoubtError
    if column.count(column[0]) == len(column):
        return [tuple(column[0] or ())] * len(column)
    return [tuple(value) if value else () for value in column]


def onsets(column: list[Any]) -> Floats:
    """Onsets in seconds."""
    if not set(map(type, column)) <= _NUMBERS:
        raise DoubtError
    return held(np.array(column, np.float64), 0.0, checks.MAX_ONSET_S)


def numbers(column: list[Any], least: float = -np.inf, most: float = np.inf) -> Floats:
    """Optional numbers within limits; null becomes NaN, which JSON cannot hold."""
    first, count = column[0], len(column)
    # Neither 0 nor 1, which false and true would equal.
    if (first is None or (type(first) in _NUMBERS and first not in (0, 1))) and column.count(first) == count:
        values = np.full(count, np.nan if first is None else first, np.float64)
    elif set(map(type, column)) <= _MAYBE_NUMBERS:
        values = np.array(column, np.float64)
    else:
        raise DoubtError
    return held(values, least, most)


def held(values: Floats, least: float, most: float) -> Floats:
    """Numbers as their range holds them, as `checks.in_range` gives each; NaN stays."""
    lowest, highest = np.fmin.reduce(values), np.fmax.reduce(values)
    if lowest < least - checks.ROUNDING or highest > most + checks.ROUNDING:
        raise DoubtError
    if lowest < least or highest > most:
        values = np.clip(values, least, most)
    return values + 0.0  # -0.0 becomes 0.0


def flags(column: list[Any]) -> npt.NDArray[np.bool_]:
    """Optional booleans; null is false."""
    if not set(map(type, column)) <= _MAYBE_FLAGS:
        raise DoubtError
    return np.array(column, dtype=bool)


def nested_numbers(
    objects: list[Any], name: str, keys: tuple[str, ...], events: list[dict[str, Any]]
) -> dict[str, Floats]:
    """Take the numbers out of an optional object of events; what else it holds goes back to the event."""
    if objects.count(None) == len(objects):
        return {f"{name}.{key}": np.full(len(objects), np.nan) for key in keys}
    if not set(map(type, objects)) <= _MAYBE_OBJECTS:
        raise DoubtError
    columns = {key: [item.pop(key, None) if item else None for item in objects] for key in keys}
    found = {f"{name}.{key}": numbers(column, -checks.LARGEST, checks.LARGEST) for key, column in columns.items()}
    if any(objects):
        for event, item in zip(events, objects, strict=True):
            if item:
                event[name] = item
    return found


def filled_buckets(codes: Codes, velocities: Floats) -> Codes:
    """Dynamic buckets as given, else from the velocity; the codes of `BUCKET_NAMES` are their positions."""
    derived = np.searchsorted(_BUCKET_UPPERS, velocities).astype(np.int32)
    return np.where((codes < 0) & ~np.isnan(velocities), derived, codes)


def sorted_json(value: Any) -> bytes:
    """A value as JSON with sorted keys."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # nested deeper than can be written
        raise DoubtError from None


def offsets_of(counts: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Where each of several runs begins, and where the last one ends."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def nullable_floats(values: Floats) -> pa.Array:
    """Single precision, NaN as null."""
    return pa.array(values.astype(np.float32), mask=np.isnan(values))


def dictionary_array(codes: Codes, values: Sequence[str]) -> pa.DictionaryArray:
    """Codes over values as an Arrow dictionary; -1 is null."""
    missing = codes < 0
    indices = pa.array(codes, pa.int32(), mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string()))


def compact_dictionary(codes: npt.NDArray[Any], values: Sequence[str]) -> pa.DictionaryArray:
    """The same without values that no code names."""
    used = np.bincount(codes + 1, minlength=len(values) + 1)[1:] > 0
    dense = np.append(np.cumsum(used, dtype=np.int32) - 1, np.int32(-1))  # the last serves code -1
    return dictionary_array(dense[codes], [values[code] for code in np.flatnonzero(used).tolist()])

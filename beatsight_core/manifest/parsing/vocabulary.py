"""A field in which many lines share few values: each different text is read and judged once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from msgspec import UNSET, Raw, UnsetType

from beatsight_core.manifest.parsing.arrays import Codes, compact_dictionary
from beatsight_core.manifest.parsing.checks import RejectedError
from beatsight_core.manifest.parsing.repeated_keys import count_keys

ABSENT = 0
"""The code of a field that is not there."""

REFUSED = -1
"""The code of a text that is not JSON, or not a value of this field."""

_LONG_RUN = 32
"""From this length on it pays to look for runs of equal texts instead of at each text."""


@dataclass(frozen=True, slots=True)
class CodedTexts:
    """A column of texts as codes.

    Attributes:
        codes: Code of each text, shape (texts,).
        keys: Keys of JSON objects in these texts, and one more for each field that is there.
    """

    codes: Codes
    keys: int


class Vocabulary:
    """The values of a field, found by their text in JSON.

    Args:
        read: Function that gives the final value from the JSON value, or raises `RejectedError`.

    Attributes:
        values: Final value of each code.
    """

    def __init__(self, read: Callable[[Any], Any]):
        self._read = read
        try:
            self.values = [read(None)]
        except RejectedError:
            self.values = [None]  # a required field is always there
        self._codes: dict[bytes | UnsetType, int] = {UNSET: ABSENT}
        self._keys: dict[bytes | UnsetType, int] = {UNSET: 0}

    def encode(self, column: Sequence[Raw | UnsetType]) -> CodedTexts:
        """Give each text its code; neighbours mostly have the same."""
        parts: list[Codes] = []
        keys, rest = 0, column
        while rest:
            first = rest[0]
            count = rest.count(first)
            if count < len(rest) and (count < _LONG_RUN or rest[:count].count(first) < count):
                texts = [raw if raw is UNSET else bytes(raw) for raw in rest]
                self._add([text for text in dict.fromkeys(texts) if text not in self._codes])
                parts.append(np.fromiter(map(self._codes.__getitem__, texts), np.int32, len(texts)))
                keys += sum(map(self._keys.__getitem__, texts))
                break
            text = first if first is UNSET else bytes(first)
            parts.append(np.full(count, self.code(text), np.int32))
            keys += count * self._keys[text]
            rest = rest[count:]
        return CodedTexts(np.concatenate(parts) if len(parts) > 1 else parts[0], keys)

    def code(self, text: bytes | UnsetType) -> int:
        """Return the code of one text."""
        if text not in self._codes:
            self._add([text])
        return self._codes[text]

    def _add(self, texts: Sequence[bytes | UnsetType]) -> None:
        """Read new texts, all in one go where that can be done."""
        try:
            values = orjson.loads(b"[%b]" % b",".join(texts))  # type: ignore[arg-type]
        except orjson.JSONDecodeError:
            if len(texts) > 1:
                for text in texts:
                    self._add([text])
            else:
                self._codes[texts[0]], self._keys[texts[0]] = REFUSED, 1
            return
        for text, value in zip(texts, values, strict=True):
            self._keys[text] = 1 + (count_keys([value]) if isinstance(value, dict | list) else 0)
            try:
                self.values.append(self._read(value))
                self._codes[text] = len(self.values) - 1
            except RejectedError:
                self._codes[text] = REFUSED


def dictionary_of(codes: Codes, values: Sequence[str | None], first: Sequence[str] = ()) -> pa.DictionaryArray:
    """Return codes as an Arrow dictionary whose values stand in the order in which they are used first.

    Args:
        codes: Code of each event.
        values: Value of each code; None is null.
        first: Values that come before the others.
    """
    used, where = np.unique(codes, return_index=True)
    places = {value: place for place, value in enumerate(first)}
    table = np.full(len(values), -1, np.int32)
    for code in used[np.argsort(where)].tolist():
        value = values[code]
        table[code] = -1 if value is None else places.setdefault(value, len(places))
    return compact_dictionary(table[codes], list(places))

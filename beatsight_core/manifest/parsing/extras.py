"""What lines hold beside the fields that have columns, as one JSON object with sorted keys per event."""

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from beatsight_core.manifest.parsing.arrays import Codes, compact_dictionary
from beatsight_core.manifest.parsing.repeated_keys import count_keys
from beatsight_core.manifest.parsing.schema import COMPONENT_FIELDS, EVENT_FIELDS, NO_OTHERS, Column
from beatsight_core.manifest.parsing.vocabulary import ABSENT, REFUSED, CodedTexts, Vocabulary

_Fields = dict[str, Column]
_CodeColumns = dict[str | None, Codes]
_Row = tuple[int, ...]
_Names = tuple[str | None, ...]
"""Names of fields; None stands for all fields whose names the schema has not learned."""


class Extras:
    """The extra fields of a chunk; every different combination of values is written once.

    Args:
        nested: Field -> its values, of which all that has no column is an extra.
    """

    def __init__(self, nested: dict[str, Vocabulary]):
        self._nested = nested
        self._values = Vocabulary(lambda value: value)
        self._components: list[dict[str, Any]] = [{}]
        self._component_rows: dict[_Names, dict[_Row, int]] = {}
        self._lists: dict[_Row, int] = {}
        self._event_rows: dict[_Names, dict[_Row, int]] = {}
        self._texts: dict[str, int] = {}

    def encode(self, events: _Fields, components: _Fields, counts: Codes, nested: dict[str, Codes]) -> CodedTexts:
        """Take what events hold beside their columns.

        Args:
            events: Fields of events.
            components: Fields of their components.
            counts: Number of components of each event.
            nested: Field -> the code of its value in each event.
        """
        columns, keys = self._columns(events, EVENT_FIELDS - {"sample_id"})
        for name, codes in nested.items():
            values = self._nested[name].values
            others = {code: self._code(values[code].others) for code in set(codes.tolist())}
            if any(others.values()):
                columns[name] = np.fromiter(map(others.__getitem__, codes.tolist()), np.int32, len(codes))
        parts, more_keys = self._columns(components, COMPONENT_FIELDS)
        columns["components"] = np.zeros(len(counts), np.int32)
        if parts:
            rows = _codes_of_rows(parts, self._component_rows, self._add_component)
            columns["components"] = self._list_codes(rows.tolist(), counts.tolist())
        return CodedTexts(_codes_of_rows(columns, self._event_rows, self._add_text), keys + more_keys)

    def array(self, codes: Codes) -> pa.DictionaryArray:
        """Return codes as an Arrow dictionary of JSON texts; null where an event holds nothing more."""
        return compact_dictionary(codes - 1, list(self._texts))

    def _columns(self, fields: _Fields, known: frozenset[str]) -> tuple[_CodeColumns, int]:
        """Return the codes of the fields that are not known and that any item has, and the number of their keys."""
        columns: _CodeColumns = {}
        keys = 0
        for name in [name for name in fields if name not in known]:
            coded = self._values.encode(fields[name])
            if coded.keys:
                columns[name] = coded.codes
                keys += coded.keys
        others = fields.get("others", ())
        if others.count(NO_OTHERS) < len(others):
            columns[None] = np.array([self._code(other.fields) for other in others], np.int32)
            keys += count_keys([other.fields for other in others])
        return columns, keys

    def _code(self, value: Any) -> int:
        try:
            return self._values.code(orjson.dumps(value)) if value else ABSENT
        except TypeError:  # nested deeper than can be written
            return REFUSED

    def _fields(self, names: _Names, row: _Row) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, code in zip(names, row, strict=True):
            if name is None:
                fields |= self._values.values[code] or {}
            elif code != ABSENT:
                fields[name] = self._values.values[code]
        return fields

    def _add_component(self, names: _Names, row: _Row) -> int:
        fields = self._fields(names, row)
        if fields:
            self._components.append(fields)
        return len(self._components) - 1 if fields else ABSENT

    def _list_codes(self, components: list[int], counts: list[int]) -> Codes:
        rows = [tuple(components[start:end]) for start, end in pairwise(accumulate(counts, initial=0))]
        for row in set(rows) - self._lists.keys():
            fields = [self._components[code] for code in row]
            self._lists[row] = REFUSED if REFUSED in row else self._code(fields if any(fields) else None)
        return np.fromiter(map(self._lists.__getitem__, rows), np.int32, len(rows))

    def _add_text(self, names: _Names, row: _Row) -> int:
        fields = self._fields(names, row)
        if not fields:
            return ABSENT
        try:
            text = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:  # nested deeper than can be written
            return REFUSED
        return self._texts.setdefault(text, len(self._texts) + 1)


def _codes_of_rows(
    columns: _CodeColumns, known: dict[_Names, dict[_Row, int]], add: Callable[[_Names, _Row], int]
) -> Codes:
    """Give each row of codes a code of its own; `add` makes that of a new row. Neighbours mostly have the same."""
    names, table = tuple(columns), np.stack(list(columns.values()))
    starts = np.flatnonzero(np.append(True, (table[:, 1:] != table[:, :-1]).any(axis=0)))
    rows = list(map(tuple, table[:, starts].T.tolist()))
    of_names = known.setdefault(names, {})
    # The components come last in a row. Texts without them get their codes first: the order of codes is that of the
    # values in `events.parquet`, and so it stays what it was.
    for row in sorted(dict.fromkeys(rows), key=lambda row: row[-1] != ABSENT):
        if row not in of_names:
            of_names[row] = REFUSED if REFUSED in row else add(names, row)
    codes = np.fromiter(map(of_names.__getitem__, rows), np.int32, len(rows))
    return np.repeat(codes, np.diff(np.append(starts, table.shape[1])))

"""A table that a person wrote, as the dataclass that describes it. pydantic checks it; the messages are ours.

The dataclasses are plain ones: what the platform itself makes of them is not checked again. Their annotations hold the
constraints, their model validators what values must not contradict each other, and a string below a field describes it.
"""

import dataclasses
import difflib
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, Strict, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from beatsight_core.settings.typed_paths import resolve_path
from beatsight_core.typed_json import JsonValue, adapter_of

T = TypeVar("T")


Place = tuple[int | str, ...]
"""Where a value stands: names of tables and of the value, and numbers of list entries."""

_LONGEST = 80
"""Characters of a value that a message quotes."""


@dataclass(frozen=True, slots=True)
class SettingsTable:
    """Base of whatever a table describes: names that it does not have are refused, and so are infinite numbers."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)


Whole = Annotated[int, Strict()]
"""A whole number; 2.0, "2" and true are none."""

Number = Annotated[float, Strict()]
"""A number, whole or not; "2" and true are none."""

Switch = Annotated[bool, Strict()]
"""True or false, and nothing else."""


def _from_data_root(value: object, info: ValidationInfo) -> object:
    return resolve_path(value, info.context) if isinstance(value, str) and info.context else value


RootedPath = Annotated[Path, BeforeValidator(_from_data_root)]
"""A path as a person types it; one that is relative is relative to the data root."""


def hidden(name: str) -> Any:
    """Describe a field that the table itself cannot set; `hidden_key` is the key that the platform sets it by."""
    return Field(validation_alias=hidden_key(name))


def hidden_key(name: str) -> str:
    """Return the key of a hidden field, which no table holds."""
    return f"\0{name}"


def overrides_of(kind: type, name: str, *, base: type = SettingsTable, without: Iterable[str] = ()) -> Any:
    """Make a dataclass with the same fields, each of which is None until it is set.

    Args:
        kind: A dataclass below `SettingsTable`.
        name: Name of the new class.
        base: A dataclass below `SettingsTable` whose fields come first.
        without: Fields to leave out.
    """
    kept = [field for field in dataclasses.fields(kind) if field.name not in set(without)]
    fields = [(field.name, field.type | None, None) for field in kept]  # type: ignore[operator]
    return dataclasses.make_dataclass(name, fields, bases=(base,), frozen=True, slots=True)


def dotted(place: Place) -> str:
    """Return a place as it is written: release.configs[1].key."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def checked(
    kind: type[T],
    table: Mapping[str, JsonValue],
    problems: list[str],
    *,
    data_root: Path | None = None,
    shown: Callable[[Place], str] = dotted,
) -> T | None:
    """Return a table as the dataclass that describes it, or None if that cannot be.

    A value that is wrong is left out and the rest is checked again, so that all problems come at once.

    Args:
        kind: The dataclass.
        table: Table as it was written.
        problems: List that receives a line for everything that is wrong.
        data_root: Folder that paths are relative to.
        shown: Function that gives the name of a place for messages.
    """
    left: JsonValue = table
    while True:
        try:
            table_as_asked: T = adapter_of(kind).validate_python(left, context=data_root)
            return table_as_asked
        except ValidationError as caught:
            errors = sorted(caught.errors(include_url=False), key=lambda error: _order(left, error["loc"]))
        before = left
        for error in errors:
            line = _message(kind, error, shown)
            left_out = error["type"] == "missing" and _value(table, error["loc"]) is not None
            if not left_out and line not in problems:
                problems.append(line)
            left = _without(left, _removable(error))
        if left == before:
            return None


def _order(table: JsonValue, place: Place) -> list[int]:
    """Where a place stands among all that was written."""
    order = []
    for part in place:
        entries: dict[int | str, JsonValue] = {}
        if isinstance(table, dict):
            entries = {**table}
        elif isinstance(table, list):
            entries = {**dict(enumerate(table))}
        order.append(list(entries).index(part) if part in entries else len(entries))
        table = entries.get(part)
    return order


def _value(table: JsonValue, place: Place) -> JsonValue:
    for part in place:
        table = table.get(part) if isinstance(table, dict) else None
    return table


def _removable(error: ErrorDetails) -> Place:
    """The value to leave out, or the whole list or table that something is wrong in."""
    place = error["loc"][:-1] if error["type"] == "missing" or error["loc"][-1:] == ("[key]",) else error["loc"]
    first = next((number for number, part in enumerate(place) if isinstance(part, int)), len(place))
    return place[:first]


def _without(table: JsonValue, place: Place) -> JsonValue:
    if not place or not isinstance(table, dict) or place[0] not in table:
        return table
    first, rest = str(place[0]), {key: value for key, value in table.items() if key != place[0]}
    return rest if len(place) == 1 else {**table, first: _without(table[first], place[1:])}


def _message(kind: type, error: ErrorDetails, shown: Callable[[Place], str]) -> str:
    """What is wrong, for a person: where it stands, what it must be, and what is there instead."""
    place, what, value, about = error["loc"], error["type"], error["input"], error.get("ctx", {})
    match what:
        case "unexpected_keyword_argument":
            said = unknown(place, _names(kind, place[:-1]), shown)
        case "literal_error" if place[-1] == "[key]":
            said = unknown(place[:-1], _words(about), shown)
        case "missing":
            said = f"{shown(place[:-1])} lacks {place[-1]}"
        case "dataclass_type" | "dict_type":
            said = f"[{shown(place)}] must be a table"
        case "tuple_type" if dataclasses.is_dataclass(_hint(kind, (*place, 0))):
            said = f"[[{shown(place)}]] must be a list of tables"
        case "value_error" if isinstance(value, dict):  # of a table whose values contradict each other
            said = f"{shown(place)}.{about['error']}".removeprefix(".")
        case "value_error":
            said = f"{shown(place)} {about['error']}"
        case _:
            near = nearest(value, _words(about)) if what == "literal_error" else ""
            demand = _demand(what, value, about)
            said = f"{shown(place)} must {demand}{':' if demand.startswith('not') else ', not'} {quoted(value)}{near}"
    return said


_TYPES = {
    "int_type": "a whole number", "float_type": "a number", "bool_type": "true or false", "string_type": "text",
    "path_type": "a path", "tuple_type": "a list", "finite_number": "a finite number",
    "string_too_short": "a text of a character or more",
}  # fmt: skip


def _demand(what: str, value: JsonValue, about: Mapping[str, JsonValue]) -> str:
    """What a value must do, as "be at least 1"."""
    if what == "literal_error":
        words = _words(about)
        return f"be {' or '.join(words)}" if len(words) == 2 else f"be one of {', '.join(words)}"
    if what == "float_type" and isinstance(value, int) and not isinstance(value, bool):  # too great for a float
        return f"be {_TYPES['finite_number']}"
    if about.get("ge") == 0:
        return "not be negative"
    if about.get("gt") == 0:
        return "be positive"
    for key, at in (("ge", "at least"), ("le", "at most"), ("gt", "greater than"), ("lt", "less than")):
        if key in about:
            return f"be {at} {about[key]:{',d' if isinstance(about[key], int) else 'g'}}"
    return f"be {_TYPES[what]}"


def _words(about: Mapping[str, JsonValue]) -> list[str]:
    return re.findall(r"'([^']*)'", str(about["expected"]))


def _names(kind: type, place: Place) -> list[str]:
    """The names that a table may hold."""
    table = _hint(kind, place)
    hints = typing.get_type_hints(table, include_extras=True)
    return [field.name for field in dataclasses.fields(table) if not _is_hidden(hints[field.name])]


def _is_hidden(hint: Any) -> bool:
    extras = getattr(hint, "__metadata__", ())
    return any(isinstance(extra, FieldInfo) and extra.validation_alias for extra in extras)


def _hint(kind: Any, place: Place) -> Any:
    """The type of what stands at a place."""
    for part in place:
        if dataclasses.is_dataclass(kind):
            kind = typing.get_type_hints(kind)[str(part)]
        else:
            kind = [each for each in typing.get_args(kind) if each is not Ellipsis][-1]
    return kind


def quoted(value: JsonValue) -> str:
    """Return a value for a message: as it is written, but not more of it than a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists
        return "what it is"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def unknown(place: Place, known: Iterable[str], shown: Callable[[Place], str] = dotted) -> str:
    """Return what to say of a name that nothing reads."""
    close, written = _closest(place[-1], known), shown(place)
    meant = f" (did you mean {written.removesuffix(str(place[-1]))}{close}?)" if close else ""
    return f"there is no setting {written}{meant}"


def nearest(name: JsonValue, known: Iterable[str]) -> str:
    """Return the known name that was most likely meant, as an addition to a message; empty if none is near."""
    close = _closest(name, known)
    return f" (did you mean {close}?)" if close else ""


def _closest(name: JsonValue, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(str(name), list(known), 1)), None)

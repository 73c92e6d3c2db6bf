"""The border between typed values and JSON: frozen dataclasses are written and read here, and nowhere by hand.

`to_json` writes fields in their order; `from_json` reads them back and checks every type. Derived figures, which no
reader needs back, are properties of the class and stay out, unless a class names them in `DERIVED`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from beatsight_core.errors import DatasetError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]

T = TypeVar("T")

_ADAPTERS: "dict[Any, TypeAdapter[Any]]" = {}
"""Making one takes milliseconds."""

DERIVED = "DERIVED"
"""Class variable, a tuple of names: properties that are written with the fields."""


def to_json(value: "DataclassInstance") -> JsonObject:
    """Return a dataclass as JSON values: fields in order, then what its class names in `DERIVED`."""
    names = [field.name for field in fields(value)] + list(getattr(value, DERIVED, ()))
    return {name: _plain(getattr(value, name)) for name in names}


def from_json(kind: type[T], content: object, where: Path | None = None) -> T:
    """Read a dataclass back, with every type checked; keys that it does not have are passed over.

    Args:
        kind: Class of the value, a dataclass of plain values, tuples, mappings and dataclasses.
        content: JSON values, as `to_json` or a file gives them.
        where: File that they come from, for the error.

    Raises:
        DatasetError: A value is missing or of another type.
    """
    from pydantic import ValidationError

    try:
        value: T = adapter_of(kind).validate_python(content)
        return value
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise DatasetError(
            f"A file does not hold {kind.__name__}", where=where, why=wrong, do="run the step that makes it again"
        ) from error


def adapter_of(kind: Any) -> "TypeAdapter[Any]":
    """Return what checks values of a type; it is made once for each type."""
    from pydantic import TypeAdapter

    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _plain(value: Any) -> JsonValue:
    """A field as JSON values; tuples and lists become lists, paths text."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value

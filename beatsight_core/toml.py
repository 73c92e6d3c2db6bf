"""A table, as TOML gives it, as a dataclass: each value checked against the type that the dataclass names for it.

Problems are collected as texts for a person, with the nearest known name where one is misspelt; nothing is raised here.
"""

import difflib
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MISFIT = object()
"""What `fitted` gives for a value that is not of the type."""

MOST_PARTS = 100
"""Of a dotted key."""

_KEY = r'(?:[A-Za-z0-9_-]+|"[^"\n]*"|\'[^\'\n]*\')'
LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_\-\"']){_KEY}(?:[ \t]*\.[ \t]*{_KEY}){{{MOST_PARTS},}}")
"""A key of more parts than that, wherever it stands."""

_LONGEST = 80
"""Characters of a value that a message quotes."""

_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def parsed(text: str) -> dict[str, Any]:
    """What a text of TOML says.

    Raises:
        ValueError: It is none, or its tables lie deeper inside each other than any program's do.
    """
    if LONG_KEY.search(text):  # for a key of thousands of parts the standard library takes minutes
        raise ValueError(f"a key has more than {MOST_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("tables and lists lie too deep inside each other") from error


def section(kind: type[Any], table: Any, where: str, problems: list[str], **fixed: Any) -> Any:
    """A dataclass from a table.

    Args:
        kind: The dataclass.
        table: What was written.
        where: The table's name, for messages.
        problems: Gets a line for every unknown key and every value of a wrong type; such a value is left out.
        fixed: Values that the table may not set.
    """
    if not isinstance(table, dict):
        problems.append(f"[{where}] must be a table")
        return kind(**fixed)
    return kind(**fixed, **values_of(kind, table, f"{where}.", problems, fixed=fixed))


def values_of(
    kind: type[Any],
    table: Mapping[str, Any],
    prefix: str,
    problems: list[str],
    *,
    fixed: Iterable[str] = (),
    typed: bool = False,
) -> dict[str, Any]:
    """The values of a table that fit the fields of a dataclass; the others become problems.

    Args:
        kind: The dataclass.
        table: Name -> value.
        prefix: Goes before names in messages.
        problems: Gets a line for every key and value that does not fit.
        fixed: Fields that the table may not set.
        typed: Whether text may stand for a number or a truth value, as a person types it on a command line.
    """
    hints = {name: hint for name, hint in typing.get_type_hints(kind).items() if name not in set(fixed)}
    values = {}
    for key, value in table.items():
        if key not in hints:
            problems.append(unknown(key, prefix, hints))
            continue
        converted = fitted(_as_typed(value, hints[key]) if typed else value, hints[key])
        if converted is MISFIT:
            wanted = "a finite number" if _is_endless(value) else _type_name(hints[key])
            problems.append(f"{prefix}{key} must be {wanted}, not {_quoted(value)}")
        else:
            values[key] = converted
    return values


def _quoted(value: Any) -> str:
    """A value in a message: as it is written, but not more of it than a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists
        return "what it is"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def unknown(key: str, prefix: str, known: Iterable[str]) -> str:
    """What to say of a name that nothing reads."""
    return f"there is no setting {prefix}{key}{nearest(key, known, prefix)}"


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """The known name that was most likely meant, as an addition to a message; empty if none is near."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {prefix}{close[0]}?)" if close else ""


def fitted(value: Any, hint: Any) -> Any:  # noqa: PLR0911 - one branch per accepted type is the clearest form
    """A value as the type that a dataclass names, or `MISFIT`. A whole number is a float too, a truth value is none."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return fitted(value, next(part for part in arguments if part is not type(None)))
    if origin is tuple:
        items = [fitted(item, arguments[0]) for item in value] if isinstance(value, list) else [MISFIT]
        return MISFIT if MISFIT in items else tuple(items)
    if getattr(origin, "__name__", "") == "Mapping":
        entries = {key: fitted(item, arguments[1]) for key, item in value.items()} if isinstance(value, dict) else None
        return MISFIT if entries is None or MISFIT in entries.values() else entries
    if hint is float:
        return _finite(value)
    if hint is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else MISFIT
    if hint is Path:
        return Path(value) if isinstance(value, str) else MISFIT
    return value if isinstance(value, hint) else MISFIT


def _as_typed(value: Any, hint: Any) -> Any:
    """What a person meant who could only type text; the text itself if it means nothing of that type."""
    if not isinstance(value, str) or hint is str:
        return value
    if hint is bool:
        return _TRUTHS.get(value.strip().lower(), value)
    try:
        return hint(value)
    except (ValueError, TypeError):
        return value


def _finite(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or _is_endless(value):
        return MISFIT
    return float(value)


def _is_endless(value: Any) -> bool:
    """Whether a number, or the text of one, is infinite, no number at all, or too great for a float."""
    try:
        return not math.isfinite(float(value))
    except OverflowError:
        return True
    except (TypeError, ValueError):
        return False


def _type_name(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint).replace("typing.", "")

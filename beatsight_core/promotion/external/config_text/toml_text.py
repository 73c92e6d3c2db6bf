"""TOML: the value's place is found by tomlkit, which keeps every blank and comment, and proved by the standard library.

A value may stand anywhere: on a line of its own, in an inline table, in an array, in one of an array of tables, behind
dotted or quoted keys, and over several lines.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from beatsight_core.promotion.external.config_text.form import TOO_DEEP, ConfigTextError, Format, Place
from beatsight_core.settings.reading import LONG_KEY

MOST_BYTES = 2**16
MOST_DOTTED = 1000
"""Lines with dotted keys. For the parser that keeps blanks both are about a second's work, and twice as many four."""

_MARK = "'\ue000here\ue000'"
"""Stands for the value while its place is looked for: of characters that nobody uses."""

_KEY = r'(?:[A-Za-z0-9_-]+|"[^"\n]*"|\'[^\'\n]*\')'


_DOTTED = re.compile(rf"^[ \t]*{_KEY}[ \t]*\.", re.MULTILINE)


def _says(text: str) -> dict[str, Any]:
    if LONG_KEY.search(text):  # for a key of thousands of parts the standard library takes minutes
        raise ConfigTextError(TOO_DEEP)
    if sum(1 for _ in _DOTTED.finditer(text)) > MOST_DOTTED:
        raise ConfigTextError(f"it has more than {MOST_DOTTED:,} dotted keys")
    return tomllib.loads(text)


def _places(text: str, parts: list[str], value: str) -> Iterator[tuple[Place, list[str]]]:
    place = _place(text, parts)
    if place is None:
        return
    quoted = [json.dumps(value, ensure_ascii=False), json.dumps(value)]
    single = text[place[0]] == "'" and not re.search(r"['\r\n]", value)
    yield place, [f"'{value}'", *quoted] if single else quoted


def _place(text: str, parts: list[str]) -> Place | None:
    """Where the value of a key begins and ends; None if the text is not given back as it was."""
    import tomlkit
    from tomlkit.items import Item

    document = tomlkit.parse(text)
    item: Any = document
    for part in parts:
        item = _inner(item, part)
    if not isinstance(item, Item):
        return None
    setattr(item, "as_string", lambda: _MARK)  # noqa: B010 - of this one item, and not of its class
    before, _, after = document.as_string().partition(_MARK)
    stop = len(text) - len(after)
    if len(before) < stop and text.startswith(before) and text.endswith(after):
        return len(before), stop
    return None


def _inner(item: Any, part: str) -> Any:
    """The item that a part of a key leads to: of a table by its name, of a list by its number."""
    from tomlkit.container import Container
    from tomlkit.items import AoT, Array

    if isinstance(item, Array):
        return item.item(int(part))
    if isinstance(item, AoT):
        return item[int(part)]
    table = item if isinstance(item, Container) else item.value
    return table.item(part) if isinstance(table, Container) else item[part]  # a table in several parts has none


FORMAT = Format(_says, _places, most_bytes=MOST_BYTES)

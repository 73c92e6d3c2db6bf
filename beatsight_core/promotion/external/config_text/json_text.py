"""JSON: names, values and the places between them, found by the standard library's own scanner."""

import json
import re
from collections.abc import Iterator

from beatsight_core.promotion.external.config_text.form import Format, Place, without_repeats

_SPACE = re.compile(r"[ \t\n\r]*")
_JSON = json.JSONDecoder(object_pairs_hook=without_repeats)


def _places(text: str, parts: list[str], value: str) -> Iterator[tuple[Place, list[str]]]:
    at = _past_space(text, 0)
    for part in parts:
        at = next(start for name, start in _members(text, at) if name == part)
    yield (at, _JSON.raw_decode(text, at)[1]), [json.dumps(value, ensure_ascii=False), json.dumps(value)]


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Name, or place, and start of each value of an object or a list that begins at `at`."""
    is_object = text[at] == "{"
    at = _past_space(text, at + 1)
    number = 0
    while text[at] not in "}]":
        name = str(number)
        if is_object:
            name, at = _JSON.raw_decode(text, at)
            at = _past_space(text, _past_space(text, at) + 1)
        yield name, at
        at = _past_space(text, _JSON.raw_decode(text, at)[1])
        if text[at] == ",":
            at = _past_space(text, at + 1)
        number += 1


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


FORMAT = Format(_JSON.decode, _places)

"""Objects that name a key twice: JSON readers keep the last one and say nothing, so a line would lose a value unseen.

To look at every key would take as long as reading the lines. So keys are counted: a text that holds no more colons than
its values hold keys has no key twice, since every key stands before a colon of its own. Colons inside of texts make a
second count necessary: a key is a quote and then a colon. Only where that does not settle it is a line read once more.
"""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

_COLON, _QUOTE, _SPACE = ord(":"), ord('"'), ord(" ")

_SPACED = (b" :", b"\t:", b"\r:", b"\n:")


class RepeatedKeyError(Exception):
    """An object names a key twice; the first argument is the key."""


def may_repeat(text: bytes, keys: int) -> bool:
    """Whether some object of a text may name a key twice; False is certain.

    Args:
        text: JSON, or several JSON texts.
        keys: Keys of all objects that it was read into, as `count_keys` counts them.
    """
    data = np.frombuffer(text, np.uint8)
    colons = data == _COLON
    if np.count_nonzero(colons) == keys:
        return False
    before = data[np.flatnonzero(colons[1:])]
    # White space between a key and its colon would hide the key from this count.
    return bool(np.count_nonzero(before == _QUOTE) != keys or (before <= _SPACE).any())


def line_may_repeat(line: bytes, keys: int) -> bool:
    """The same of one line, for which arrays would be too much."""
    if line.count(b":") == keys:
        return False
    return line.count(b'":') != keys or any(spaced in line for spaced in _SPACED)


def count_keys(values: Iterable[Any]) -> int:
    """The keys of all objects among values, those within other values too."""
    count, left = 0, [values]
    while left:
        value = left.pop()
        if type(value) is dict:
            count += len(value)
            value = value.values()
        left.extend([part for part in value if type(part) is dict or type(part) is list])
    return count


def repeated_key(line: bytes) -> str | None:
    """The first key that an object of a line names twice, or None. Exact, and slow.

    Args:
        line: JSON in UTF-8.
    """
    try:
        json.loads(line, object_pairs_hook=_refuse_repeats)
    except RepeatedKeyError as error:
        return str(error.args[0])
    except (ValueError, RecursionError):  # not JSON, or nested too deeply: for others to judge
        return None
    return None


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKeyError(key)
            seen.add(key)

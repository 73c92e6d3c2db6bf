"""What each format of a configuration must offer, and the limits within which a text is read at all."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Place = tuple[int, int]
"""Where a value stands in a text: from, to."""

MOST_DEPTH = 100
"""Tables and lists inside each other. A program's configuration has a handful; parsers slow down or give up at many."""

TOO_DEEP = f"tables and lists in it lie more than {MOST_DEPTH} deep inside each other"

MOST_VALUES = 200_000
"""Values of a configuration, those counted again that stand for others. A text of a few lines can mean billions."""


class ConfigTextError(Exception):
    """The value cannot be changed; the message says why, for a person."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is read, and where in it a key's value may stand.

    Attributes:
        says: Function from a text to nested tables of its values; raises ValueError, or ConfigTextError if they are too
            many.
        places: Function from a text, the parts of a key and the new value to places that may hold the value, each with
            ways to write the new one.
        leaf: Function from the new value to what `says` would give for it.
        shown: Function from a value that `says` gave to a text.
        dotted: Flag of a format whose keys are parted by dots.
        most_bytes: Length of the longest text that is read.
    """

    says: Callable[[str], Any]
    places: Callable[[str, list[str], str], Iterable[tuple[Place, list[str]]]]
    leaf: Callable[[str], Any] = str
    shown: Callable[[Any], str] = str
    dotted: bool = True
    most_bytes: int = 2**20


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a table of pairs.

    Raises:
        ValueError: A name stands twice, so that readers differ about its value.
    """
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands twice in one table")
    return table


def require_shallow(said: Any) -> None:
    """Look how deep tables and lists lie inside each other, without recursion.

    Raises:
        ConfigTextError: The tables lie deeper than `MOST_DEPTH`.
    """
    layer, depth = [said], 0
    while layer:
        if depth > MOST_DEPTH:
            raise ConfigTextError(TOO_DEEP)
        depth += 1
        layer = [inner for each in layer for inner in _inside(each)]


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()

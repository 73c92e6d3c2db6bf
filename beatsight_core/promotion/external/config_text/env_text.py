r"""Files of environment variables: `NAME=value` lines, with or without quotes, `export` and comments.

There is no standard. So values are written only in ways that shells and the usual readers understand alike, and what
those read differently is refused: a value over several lines, a line that a backslash continues.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from beatsight_core.promotion.external.config_text.form import Format, Place, without_repeats

_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*")
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*+"|'[^']*+'""", re.DOTALL)
_AFTER = re.compile(r"(?:[ \t]+#[^\r\n]*)?[ \t]*\r?")
_COMMENT = re.compile(r"[ \t]#")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")


@dataclass(frozen=True, slots=True)
class _Line:
    """An assignment.

    Attributes:
        key: Name of the variable.
        start: Offset in the text at which the value begins, with its quote.
        stop: Offset in the text at which the value ends.
        written: Text of the value as it is written, quotes included.
    """

    key: str
    start: int
    stop: int
    written: str

    @property
    def is_plain(self) -> bool:
        """Whether all readers agree where it ends."""
        return "\n" not in self.written and not self.written.endswith("\\")

    @property
    def value(self) -> str:
        """Value without its quotes."""
        if self.written[:1] == "'":
            return self.written[1:-1]
        return re.sub(r'\\(["\\])', r"\1", self.written[1:-1]) if self.written[:1] == '"' else self.written


def _lines(text: str) -> Iterator[_Line]:
    at = 0
    while at < len(text):
        end = _line_end(text, at)
        found = _NAME.match(text, at, end)
        line = _assigned(text, found["key"], found.end(), end) if found else None
        if line is not None:
            yield line
            end = max(end, _line_end(text, line.stop))
        at = end + 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _assigned(text: str, key: str, start: int, end: int) -> _Line | None:
    """The assignment whose value begins at `start`, in a line that ends at `end`; None if it is none of a known way."""
    if text[start : start + 1] in ('"', "'"):
        quoted = _QUOTED.match(text, start)
        if quoted is None or not _AFTER.fullmatch(text, quoted.end(), _line_end(text, quoted.end())):
            return None
        return _Line(key, start, quoted.end(), quoted[0])
    if text[start : start + 1] == "#":  # a comment after blanks, and no value
        start = text.rindex("=", 0, start) + 1
        return _Line(key, start, start, "") if text[start] != "#" else None
    comment = _COMMENT.search(text, start, end)
    written = text[start : comment.start() if comment else end].rstrip(" \t\r")
    return _Line(key, start, start + len(written), written)


def _says(text: str) -> Any:
    """Name -> value of every line that gives one; the other lines as they are."""
    lines, rest, at = list(_lines(text)), [], 0
    for line in lines:
        rest.append(text[at : line.start])
        at = line.stop
    return {**without_repeats([(line.key, line.value) for line in lines]), "": "".join([*rest, text[at:]])}


def _places(text: str, parts: list[str], value: str) -> Iterator[tuple[Place, list[str]]]:
    single = [f"'{value}'"] if not re.search(r"['\r\n]", value) else []
    double = [f'"{value}"'] if not re.search(r'["\\$`\r\n]', value) else []
    plain = [value] if _PLAIN.fullmatch(value) else []
    for line in _lines(text):
        if line.key == parts[0] and line.is_plain:
            ways = {"'": [*single, *double], '"': [*double, *single]}.get(line.written[:1], [*plain, *double, *single])
            yield (line.start, line.stop), ways


FORMAT = Format(_says, _places, dotted=False, most_bytes=2**18)

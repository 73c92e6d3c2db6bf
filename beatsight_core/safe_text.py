"""Text from data and from people, made safe for where it is read: a terminal, a shell, Markdown, a spreadsheet.

Names of source sets, sessions and files come from whoever wrote a manifest. Each place that reads more than letters
into text has one function here, and all text on its way there passes through it; JSON escapes by itself and is exact.
"""

import json
import logging
import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from beatsight_core.typed_json import JsonObject, JsonValue

Cell: TypeAlias = str | int | float | None
"""A cell of a table of text."""

_STEERING = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's categories of what is no letter, mark, sign or space: controls, format characters (those that turn the
direction of text or have no width), halves of surrogate pairs, characters without a meaning, breaks of lines."""

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0e\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that show nothing: two names may differ in them and look the same."""

_KEPT = "\n\t"
_RAW = re.compile(r"[^\n -~]+")
_FORMULA = re.compile(r"[\s\x00]*[=+\-@|%\t\r\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet takes for the beginning of a formula, full-width forms included."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?%?|[+-]?(inf|nan)", re.IGNORECASE)
_MARKUP = re.compile(r"([\\`*_\[\]|~])")
_BEGINNING = re.compile(r"^(\d{0,9})([-+#.)](?=\s|$)|#{2,6}(?=\s|$)|[-=]+$)")
"""What makes a heading or an item of a list where a line begins with it."""


def for_terminal(text: str, *, lines: bool = False) -> str:
    r"""Return text of which a terminal shows every character and obeys none, with escapes such as `\x1b`.

    Args:
        text: Text of any kind, lone surrogates included.
        lines: True if it may have several lines; otherwise a break is shown as `\n`.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = _KEPT if lines else ""
    return "".join(each if each in kept or _is_plain(each) else _escape(each) for each in text)


def paragraph_for_terminal(text: str) -> str:
    """Return text of several lines as one paragraph that is safe for a terminal."""
    return for_terminal(" ".join(filter(None, map(str.strip, text.split("\n")))))


def values_for_terminal(values: JsonObject, *, lines: frozenset[str] = frozenset()) -> JsonObject:
    """Return a result of JSON-safe values in which every text, those of keys included, is safe for a terminal.

    Args:
        values: Values of a result, by name.
        lines: Keys whose texts may have several lines.
    """
    return _safe_object(values, lines)


def json_for_terminal(text: str) -> str:
    r"""Return JSON of the same values in which what a terminal would obey is written as `\u`, which JSON allows.

    Args:
        text: JSON text in which no character below a space stands for itself, save breaks of lines.
    """
    return _RAW.sub(lambda found: "".join(map(_json_escape, found[0])), text)


def for_shell(text: str) -> str:
    """Return text as it is typed in a shell, in a command that people are told to run: one word, whatever it holds."""
    return shlex.quote(text)


def for_markdown(value: JsonValue) -> str:
    """Return text on one line, with everything that Markdown or HTML would read escaped.

    Characters that a terminal would obey, or that turn the direction of what follows, become U+FFFD.

    Args:
        value: Text from data, or what becomes text.
    """
    text = " ".join(str(value).split())
    text = "".join(each if _is_plain(each) else "\ufffd" for each in text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MARKUP.sub(r"\\\1", text)
    return _BEGINNING.sub(r"\1\\\2", text)


def fence_for(text: str) -> str:
    """Return a fence of tildes that no line of a text can close."""
    longest = max((len(found) for found in re.findall(r"~{3,}", text)), default=3)
    return "~" * (longest + 1)


def for_csv(value: Cell) -> Cell:
    """Return a cell that a spreadsheet takes for what it is: text that would be a formula gets an apostrophe before it.

    Args:
        value: Cell of a table; what is no text stays as it is, and so does text that is a number.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    text = "".join(each if each in _KEPT or _is_plain(each) else _escape(each) for each in value)
    return f"'{text}" if _FORMULA.match(text) else text


def csv_row(cells: Iterable[Cell]) -> list[Cell]:
    """Return a row of cells, each as `for_csv` gives it."""
    return [for_csv(cell) for cell in cells]


class SafeLog(logging.Filter):
    """A filter that makes the messages of a logger safe for terminals, whether a verb or a worker shows them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace a record's message; never leave a record out."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit: logging reports that by itself
            return True
        record.msg, record.args = for_terminal(message), None
        return True


def _safe_object(values: Mapping[str, JsonValue], lines: frozenset[str]) -> JsonObject:
    return {for_terminal(key): _safe(each, lines, key in lines) for key, each in values.items()}


def _safe(value: JsonValue, lines: frozenset[str], several: bool) -> JsonValue:
    if isinstance(value, str):
        return for_terminal(value, lines=several)
    if isinstance(value, Mapping):
        return _safe_object(value, lines)
    if isinstance(value, list | tuple):
        return [_safe(each, lines, several) for each in value]
    return value


def _is_plain(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    return unicodedata.category(character) not in _STEERING and not _UNSEEN.match(character)


def _json_escape(character: str) -> str:
    return character if _is_plain(character) else json.dumps(character)[1:-1]


def _escape(character: str) -> str:
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if named:
        return named
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

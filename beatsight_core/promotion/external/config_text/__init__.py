"""One value in the text of a configuration changed, all else to the byte as it was: JSON, TOML, YAML, .env.

A place that looks like the value is found in the text, and the change is then proved: what the new text says, read
again, is what the old text said, with this one value another. What cannot be proved is refused; nothing is guessed.
"""

import re
from typing import Any

from beatsight_core.promotion.external.config_text import env_text, json_text, toml_text, yaml_text
from beatsight_core.promotion.external.config_text.form import TOO_DEEP, ConfigTextError, Format, require_shallow

__all__ = ["ConfigTextError", "format_of", "most_bytes", "value_of", "with_value"]

_FORMATS = {"json": json_text.FORMAT, "toml": toml_text.FORMAT, "yaml": yaml_text.FORMAT, "env": env_text.FORMAT}


def format_of(name: str) -> str | None:
    """Return the format of a file by its name; None if it is none of the four."""
    if name == ".env" or name.startswith(".env.") or name.endswith(".env"):
        return "env"
    return {"json": "json", "toml": "toml", "yaml": "yaml", "yml": "yaml"}.get(name.rpartition(".")[2].lower())


def most_bytes(kind: str) -> int:
    """Return the length of the longest text of a format that is read."""
    return _FORMATS[kind].most_bytes


def value_of(text: str, kind: str, key: str) -> str:
    """Return the value that a configuration holds, as a text.

    Args:
        text: Text of the whole file.
        kind: Format, "json", "toml", "yaml" or "env".
        key: Key of the value; parts with dots between, each as it is or in double quotes.

    Raises:
        ConfigTextError: The text is none of that format, has no such value, or the value is no plain one.
    """
    form = _FORMATS[kind]
    found = _at(_said(form, text, kind), _parts(form, key), key)
    if isinstance(found, dict | list):
        raise ConfigTextError(f"{key} is a table or a list, not a value")
    return form.shown(found)


def with_value(text: str, kind: str, key: str, value: str) -> str:
    """Return the text with one value replaced by a string.

    Args:
        text: Text of the whole file.
        kind: Format, "json", "toml", "yaml" or "env".
        key: Key of the value, written as for `value_of`.
        value: String that replaces the value.

    Raises:
        ConfigTextError: The text is none of that format, has no such value, or the value is no plain one.
    """
    form = _FORMATS[kind]
    parts = _parts(form, key)
    before = _said(form, text, kind)
    found = _at(before, parts, key)
    if found == form.leaf(value):
        return text
    if isinstance(found, dict | list):
        raise ConfigTextError(f"{key} is a table or a list, not a value")
    wanted = repr(_with(before, parts, form.leaf(value)))
    for (start, end), ways in form.places(text, parts, value):
        for written in ways:
            changed = text[:start] + written + text[end:]
            if _proves(form, changed, wanted):
                return changed
    raise ConfigTextError(f"{key} stands in a way that cannot be changed safely; give it a line of its own")


def _parts(form: Format, key: str) -> list[str]:
    if not form.dotted:
        return [key]
    parts = [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^."]+)', key)]
    if not parts:
        raise ConfigTextError(f"{key!r} names no value")
    return parts


def _said(form: Format, text: str, kind: str) -> Any:
    if len(text) > form.most_bytes:
        raise ConfigTextError(f"it has {len(text):,} characters, and {form.most_bytes:,} are the most that are read")
    try:
        said = form.says(text)
        require_shallow(said)
        return said
    except RecursionError as error:
        raise ConfigTextError(TOO_DEEP) from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ConfigTextError(f"it is not valid {kind.upper()}: {reason[:200]}") from error


def _proves(form: Format, text: str, wanted: str) -> bool:
    try:
        return repr(form.says(text)) == wanted
    except (ValueError, RecursionError, ConfigTextError):
        return False


def _step(table: Any, part: str) -> Any:
    """The name or number by which a part of a key leads on; None if it does not."""
    if isinstance(table, dict):
        return part if part in table else None
    if isinstance(table, list) and part.isascii() and part.isdecimal() and int(part) < len(table):
        return int(part)
    return None


def _at(table: Any, parts: list[str], key: str) -> Any:
    for part in parts:
        step = _step(table, part)
        if step is None:
            raise ConfigTextError(f"it has no value {key}")
        table = table[step]
    return table


def _with(table: Any, parts: list[str], leaf: Any) -> Any:
    if not parts:
        return leaf
    step = _step(table, parts[0])
    inner = _with(table[step], parts[1:], leaf)
    if isinstance(table, list):
        return [inner if place == step else item for place, item in enumerate(table)]
    return {name: inner if name == step else item for name, item in table.items()}

"""One value in the text of a configuration changed, all else to the byte as it was: JSON, TOML, YAML, .env.

A place that looks like the value is found in the text, and the change is then proved: what the new text says, read
again, is what the old text said, with this one value another. What cannot be proved is refused; nothing is guessed.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Place = tuple[int, int]
"""Where a value stands in a text: from, to."""

_KEY = r'(?:[A-Za-z0-9_-]+|"[^"\n]*"|\'[^\'\n]*\')'
_TOML_LINE = re.compile(
    rf"^[ \t]*(?:{_KEY}[ \t]*\.[ \t]*)*(?P<key>{_KEY})[ \t]*=[ \t]*"
    r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s#,\[\]{}"']+)(?=[ \t]*(?:#.*)?\r?$)""",
    re.MULTILINE,
)
_ENV_LINE = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*"
    r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s#'"][^\r\n]*?|)(?=(?:[ \t]+#.*)?[ \t]*\r?$)""",
    re.MULTILINE,
)
_ENV_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_YAML_TEXT = "tag:yaml.org,2002:str"
_SPACE = re.compile(r"[ \t\n\r]*")


class ConfigTextError(Exception):
    """The value cannot be changed; the message says why, for a person."""


@dataclass(frozen=True, slots=True)
class _Format:
    """How a format is read, and where in it a key's value may stand.

    Attributes:
        says: Text -> nested tables of what it says; raises ValueError.
        places: Text and the parts of a key -> places that may be the value, each with ways to write the new one.
        leaf: The new value as `says` would tell it.
        dotted: Whether a dot in a key parts it.
    """

    says: Callable[[str], Any]
    places: Callable[[str, list[str], str], Iterable[tuple[Place, list[str]]]]
    leaf: Callable[[str], Any] = str
    dotted: bool = True


def format_of(name: str) -> str | None:
    """The format of a file by its name; None if it is none of the four."""
    if name == ".env" or name.startswith(".env.") or name.endswith(".env"):
        return "env"
    return {"json": "json", "toml": "toml", "yaml": "yaml", "yml": "yaml"}.get(name.rpartition(".")[2].lower())


def with_value(text: str, kind: str, key: str, value: str) -> str:
    """The text with one value replaced by a string.

    Args:
        text: Of the whole file.
        kind: "json", "toml", "yaml" or "env".
        key: Where the value stands; parts with dots between, each as it is or in double quotes.
        value: What is to stand there.

    Raises:
        ConfigTextError: The text is none of that format, has no such value, or the value is no plain one.
    """
    form = _FORMATS[kind]
    parts = [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^."]+)', key)] if form.dotted else [key]
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


def _said(form: _Format, text: str, kind: str) -> Any:
    try:
        return form.says(text)
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ConfigTextError(f"it is not valid {kind.upper()}: {said[:200]}") from error


def _proves(form: _Format, text: str, wanted: str) -> bool:
    try:
        return repr(form.says(text)) == wanted
    except (ValueError, RecursionError):
        return False


def _step(table: Any, part: str) -> Any:
    """The name or number by which a part of a key leads on; None if it does not."""
    if isinstance(table, dict):
        return part if part in table else None
    if isinstance(table, list) and part.isdecimal() and int(part) < len(table):
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


# JSON


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands twice in one table")
    return table


_JSON = json.JSONDecoder(object_pairs_hook=_no_twins)


def _json_places(text: str, parts: list[str], value: str) -> Iterator[tuple[Place, list[str]]]:
    at = _past_space(text, 0)
    for part in parts:
        at = next(start for name, start in _json_members(text, at) if name == part)
    yield (at, _JSON.raw_decode(text, at)[1]), [json.dumps(value, ensure_ascii=False), json.dumps(value)]


def _json_members(text: str, at: int) -> Iterator[tuple[str, int]]:
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


# TOML


def _toml_places(text: str, parts: list[str], value: str) -> Iterator[tuple[Place, list[str]]]:
    """Every line that gives a key of the last part's name; which of them is meant, the proof tells."""
    ways = [json.dumps(value, ensure_ascii=False), json.dumps(value)]
    for line in _TOML_LINE.finditer(text):
        if line["key"].strip("\"'") == parts[-1]:
            yield line.span("value"), [f"'{value}'", *ways] if line["value"].startswith("'") else ways


# YAML


def _yaml_says(text: str) -> Any:
    import yaml

    try:
        return _yaml_value(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _yaml_value(node: Any) -> Any:
    """What a node says: a scalar with its tag, so that 3 and "3" are two things, and tags of one's own are allowed."""
    if node is None:
        return {}
    if isinstance(node.value, str):
        return f"{node.tag} {node.value}"
    if node.value and isinstance(node.value[0], tuple):
        return _no_twins([(str(key.value), _yaml_value(value)) for key, value in node.value])
    return [_yaml_value(item) for item in node.value] or ({} if node.tag.endswith(":map") else [])


def _yaml_places(text: str, parts: list[str], value: str) -> Iterator[tuple[Place, list[str]]]:
    import yaml

    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in parts:
        mapping = isinstance(node, yaml.MappingNode)
        node = next(item for key, item in node.value if key.value == part) if mapping else node.value[int(part)]
    place = (node.start_mark.index, node.end_mark.index)
    if text[place[0] : place[0] + 1] in ("&", "!"):  # an anchor or a tag of its own would go with the value
        return
    single, double = "'" + value.replace("'", "''") + "'", json.dumps(value, ensure_ascii=False)
    ways = {"'": [single, double], '"': [double]}.get(node.style, [value, double])
    yield place, ways if place[0] < place[1] else [f" {way}" for way in ways]


# .env


def _env_says(text: str) -> Any:
    """Name -> value of every line that gives one; the other lines as they are."""
    pairs = [(line["key"], _env_value(line["value"])) for line in _ENV_LINE.finditer(text)]
    return {**_no_twins(pairs), "": _ENV_LINE.sub(lambda line: f"{line['key']}=", text)}


def _env_value(written: str) -> str:
    if written[:1] == "'":
        return written[1:-1]
    return re.sub(r'\\(["\\])', r"\1", written[1:-1]) if written[:1] == '"' else written


def _env_places(text: str, parts: list[str], value: str) -> Iterator[tuple[Place, list[str]]]:
    """Only in ways that a shell and the usual readers of such files understand alike."""
    single = [f"'{value}'"] if not re.search(r"['\r\n]", value) else []
    double = [f'"{value}"'] if not re.search(r'["\\$`\r\n]', value) else []
    plain = [value] if _ENV_PLAIN.fullmatch(value) else []
    for line in _ENV_LINE.finditer(text):
        if line["key"] == parts[0] and not line["value"].endswith("\\"):  # which would go on in the next line
            quote = line["value"][:1]
            yield (
                line.span("value"),
                {"'": [*single, *double], '"': [*double, *single]}.get(quote, [*plain, *double, *single]),
            )


_FORMATS = {
    "json": _Format(_JSON.decode, _json_places),
    "toml": _Format(tomllib.loads, _toml_places),
    "yaml": _Format(_yaml_says, _yaml_places, lambda value: f"{_YAML_TEXT} {value}"),
    "env": _Format(_env_says, _env_places, dotted=False),
}

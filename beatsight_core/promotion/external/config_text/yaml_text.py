"""YAML: what it says, with aliases counted before anything is built of them, and where a plain value stands."""

import json
import re
from collections.abc import Iterator
from typing import Any

from beatsight_core.promotion.external.config_text.form import (
    MOST_DEPTH,
    MOST_VALUES,
    TOO_DEEP,
    ConfigTextError,
    Format,
    Place,
    without_repeats,
)

_TEXT = "tag:yaml.org,2002:str"
_PLAIN = re.compile(r"[A-Za-z/][\w./@%+=-]*(?: [\w./@%+=-]+)*", re.ASCII)
"""What every reader takes for a text without quotes. To some, 12e5 is a number, and a blank may not be a tab."""
_NO_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def _composed(text: str) -> Any:
    """The tree of nodes; a node that aliases name stands in it several times.

    Raises:
        ValueError: The text is not YAML.
        ConfigTextError: The text says more than a configuration can.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the faster one is not in every build
    try:
        _require_modest(yaml, text, loader)
        return yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _require_modest(yaml: Any, text: str, loader: Any) -> None:
    """Look how deep nodes lie in each other and how many they are with all aliases carried out; builds nothing.

    Raises:
        ConfigTextError: The nodes are too many or too deep, or a node holds itself.
    """
    sizes: dict[str, int] = {}  # of every node that has an anchor
    within: list[list[Any]] = []  # anchor and size so far of each node that is not ended
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            within.append([event.anchor, 1])
            if len(within) > MOST_DEPTH:
                raise ConfigTextError(TOO_DEEP)
        elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            size = _size(yaml, event, sizes, within)
            if within:
                within[-1][1] += size
            if (within[-1][1] if within else size) > MOST_VALUES:
                raise ConfigTextError(f"with what its aliases repeat it says more than {MOST_VALUES:,} values")


def _size(yaml: Any, event: Any, sizes: dict[str, int], within: list[list[Any]]) -> int:
    """How many values a node means that is one value, stands for another one, or has just ended."""
    if isinstance(event, yaml.AliasEvent):
        if any(anchor == event.anchor for anchor, _ in within):
            raise ConfigTextError(f"its alias *{event.anchor} stands inside the node that it names, which never ends")
        return sizes.get(event.anchor, 1)  # one that names nothing is told by the parser
    anchor, size = (event.anchor, 1) if isinstance(event, yaml.NodeEvent) else within.pop()
    if anchor:
        sizes[anchor] = size
    return int(size)


def _says(text: str) -> Any:
    return _value(_composed(text))


def _value(node: Any) -> Any:
    """What a node says: a scalar with its tag, so that 3 and "3" are two things, and tags of one's own are allowed."""
    if node is None:
        return {}
    if isinstance(node.value, str):
        return f"{node.tag} {node.value}"
    if node.value and isinstance(node.value[0], tuple):
        return without_repeats([(_name(key), _value(value)) for key, value in node.value])
    return [_value(item) for item in node.value] or ({} if node.tag.endswith(":map") else [])


def _name(key: Any) -> str:
    if isinstance(key.value, str):
        return str(key.value)
    raise ValueError("a name is a table or a list")


def _places(text: str, parts: list[str], value: str) -> Iterator[tuple[Place, list[str]]]:
    import yaml

    node = _composed(text)
    for part in parts:
        mapping = isinstance(node, yaml.MappingNode)
        node = next(item for key, item in node.value if key.value == part) if mapping else node.value[int(part)]
    start, stop = node.start_mark.index, node.end_mark.index
    if text[start : start + 1] in ("&", "!"):  # an anchor or a tag of its own would go with the value
        return
    ways = _written(value, node.style)
    if node.style in ("|", ">"):  # such a text ends with its line, and with blank lines after it
        stop = start + len(text[start:stop].rstrip())
    yield (start, stop), ways if start < stop else [f" {way}" for way in ways]


def _written(value: str, style: str | None) -> list[str]:
    """Ways to write a text, the one that the old value was written in first."""
    single, double = "'" + value.replace("'", "''") + "'", json.dumps(value, ensure_ascii=False)
    if style == "'":
        return [single, double]
    plain = [value] if _PLAIN.fullmatch(value) and value.lower() not in _NO_TEXT else []
    return [double] if style == '"' else [*plain, double]


FORMAT = Format(_says, _places, lambda value: f"{_TEXT} {value}", lambda said: str(said).partition(" ")[2])

"""The schema of a line: how msgspec cuts its text into the fields that have columns and those that have none.

Only ids, onsets and components are read here. All other fields stay as text (`msgspec.Raw`), because neighbouring
lines share most of them: `columns` reads each different text once. Fields that the format does not name are kept too.
The decoder must know their names, so the schema learns these from the lines.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import astuple

MOST_NAMES = 100
"""Names that a schema learns at most. A manifest that uses new names in every line is read more slowly."""


@dataclass(frozen=True, slots=True)
class OtherFields:
    """Fields under names that the schema has not learned; JSON never decodes into it."""

    fields: dict[str, Any]


NO_OTHERS = OtherFields({})
_OTHERS = "others"


class Component(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A component of an event, without the fields that a schema learns."""

    label: str
    velocity: float | UnsetType | None = UNSET
    openness: float | UnsetType | None = UNSET
    dynamic_bucket: str | UnsetType | None = UNSET
    others: OtherFields = NO_OTHERS


class Event(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A line, without the fields that a schema learns."""

    event_id: str | UnsetType | None = UNSET
    sample_id: Raw | UnsetType = UNSET
    session_id: Raw
    source_set: Raw
    audio_path: Raw
    onset_time: float
    components: list[Component]
    techniques: Raw | UnsetType = UNSET
    is_synthetic: Raw | UnsetType = UNSET
    negative_example: Raw | UnsetType = UNSET
    drummer_id: Raw | UnsetType = UNSET
    kit_id: Raw | UnsetType = UNSET
    room_id: Raw | UnsetType = UNSET
    licence: Raw | UnsetType = UNSET
    bleed_level: Raw | UnsetType = UNSET
    mix_context: Raw | UnsetType = UNSET
    context_ms: Raw | UnsetType = UNSET
    loudness: Raw | UnsetType = UNSET
    others: OtherFields = NO_OTHERS


EVENT_FIELDS = frozenset(Event.__struct_fields__)
COMPONENT_FIELDS = frozenset(Component.__struct_fields__)

Column = Sequence[Any]


class LineSchema:
    """Decodes lines, and learns the names of their other fields on the way."""

    def __init__(self) -> None:
        self._event_names: list[str] = []
        self._component_names: list[str] = []
        self._build()

    def columns(self, events: list[Event]) -> dict[str, Column]:
        """Return the fields of events as columns, those under learned names too; there is at least one event."""
        return dict(zip(self._event.__struct_encode_fields__, zip(*map(astuple, events), strict=True), strict=True))

    def component_columns(self, components: list[Component]) -> dict[str, Column]:
        """Return the same for components."""
        fields = self._component.__struct_encode_fields__
        return dict(zip(fields, zip(*map(astuple, components), strict=True), strict=True))

    def decode(self, lines: list[bytes]) -> list[Event | None]:
        """Decode lines; None stands for a line that does not fit the schema."""
        try:
            return list(map(self._decode, lines))
        except (msgspec.DecodeError, RecursionError):
            pass
        while True:
            events = [self._decode_one(line) for line in lines]
            unfit = [line for line, event in zip(lines, events, strict=True) if event is None]
            if not self._learn(unfit):
                return events

    def event_of(self, fields: dict[str, Any]) -> Event:
        """Return the event of a line that was read already; its unknown names need not be learned."""
        known, others = _split(fields, EVENT_FIELDS)
        parts = [_split(component, COMPONENT_FIELDS) for component in known["components"]]
        known["components"] = [part for part, _ in parts]
        event: Event = self._decode(orjson.dumps(known))
        event.others = others
        for component, (_, more) in zip(event.components, parts, strict=True):
            component.others = more
        return event

    def _build(self) -> None:
        self._component = _extended(Component, [], self._component_names)
        # mypy cannot know a class that is made at run time.
        components = ("components", list[self._component])  # type: ignore[name-defined]
        self._event = _extended(Event, [components], self._event_names)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(self._event).decode

    def _decode_one(self, line: bytes) -> Event | None:
        try:
            event: Event = self._decode(line)
        except (msgspec.DecodeError, RecursionError):
            return None
        return event

    def _learn(self, lines: Iterable[bytes]) -> bool:
        """Learn the names in these lines, and return whether any was new."""
        known = [*self._event_names, *self._component_names]
        for line in lines:
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if type(value) is dict:
                _add_names(self._event_names, value.keys() - EVENT_FIELDS)
                components = value.get("components")
                for component in components if type(components) is list else ():
                    if type(component) is dict:
                        _add_names(self._component_names, component.keys() - COMPONENT_FIELDS)
        grown = len(known) < len(self._event_names) + len(self._component_names)
        if grown:
            self._build()
        return grown


def _split(fields: dict[str, Any], known: frozenset[str]) -> tuple[dict[str, Any], OtherFields]:
    others = {name: value for name, value in fields.items() if name not in known or name == _OTHERS}
    kept = {name: value for name, value in fields.items() if name in known and name != _OTHERS}
    return kept, OtherFields(others) if others else NO_OTHERS


def _add_names(known: list[str], names: Iterable[str]) -> None:
    known += [name for name in sorted(names) if name not in known and _is_plain(name)][: MOST_NAMES - len(known)]


def _is_plain(name: str) -> bool:
    """Whether msgspec takes a name as that of a field."""
    return min(name, default=" ") >= " " and '"' not in name and "\\" not in name


def _extended(base: type[msgspec.Struct], fields: list[tuple[str, Any]], names: Iterable[str]) -> type[msgspec.Struct]:
    """Return a struct with more fields, each under the name that it has in JSON."""
    renamed = {f"extra_{number}": name for number, name in enumerate(names)}
    learned = [(field, Raw | UnsetType, UNSET) for field in renamed]
    return msgspec.defstruct(
        base.__name__,
        [*fields, *learned],
        bases=(base,),
        rename=renamed,
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )

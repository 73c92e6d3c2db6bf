"""What each field of a valid event may hold, and the exact reason why a line is not an event.

`columns` takes the values of fields through `FIELDS`. A line in which anything is wrong comes to `read_event`, which
looks at its fields in a fixed order and raises the first fault. Nothing in here counts or writes.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from beatsight_core.manifest.parsing.repeated_keys import count_keys, line_may_repeat, repeated_key
from beatsight_core.manifest.shifts import Shifts
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import Taxonomy, taxonomy_named

REASONS = (
    "bad_json",
    "not_an_object",
    "missing_field",
    "wrong_type",
    "bad_onset",
    "no_components",
    "unknown_component",
    "bad_path",
    "duplicate_event_id",
    "line_too_long",
    "bad_encoding",
    "repeated_key",
)
"""Every reason a line can be refused for."""

MAX_ONSET_S = 24 * 3600.0
"""An onset beyond this is a mistake of units: no recording of a performance is longer than a day."""

ROUNDING = 1e-6
"""A number that lies no further than this outside of its range was rounded there, and counts as the end of the range: a
velocity of 1.0000000000000002 is 1. Steps of MIDI are 8,000 times as wide; of an onset it is a microsecond."""

MAX_SHOWN = 80
"""Characters of a wrong value that a message repeats."""

MAX_LISTED = 5
"""Wrong values that a message repeats."""

MAX_UNKNOWN = 1000
"""Different unknown labels that are counted by name; a manifest of nonsense must not fill the memory."""

OTHERS = "(others)"

COMPONENT_RANGES = ("velocity", "openness")

LARGEST = 3.4e38
"""Numbers of `context_ms` and `loudness` are kept in single precision, which holds no larger one."""

DESCRIPTIONS = ("drummer_id", "kit_id", "room_id", "licence", "bleed_level", "mix_context")

REQUIRED = ("event_id", "session_id", "source_set", "audio_path", "onset_time", "components")
_OBJECT, _NUMBER, _TEXT = "an object", "a number", "a string"


class RejectedError(Exception):
    """A line is not a valid event."""

    def __init__(self, reason: str, message: str):
        self.reason, self.message = reason, message
        super().__init__(reason, message)


@dataclass(frozen=True)
class Rules:
    """What settings say about events; picklable, so that every process judges alike.

    Attributes:
        taxonomy: The components and their aliases.
        ignoring: Source sets whose unknown components are dropped instead of refused.
        shifts: Corrections of onsets.
    """

    taxonomy: Taxonomy
    ignoring: frozenset[str] = frozenset()
    shifts: Shifts = field(default_factory=Shifts)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Rules":
        """Return the rules of these settings.

        Raises:
            SettingsError: A file of shifts cannot be used.
        """
        ignoring = (name for name, source in settings.sources.items() if source.unknown_labels == "ignore")
        return cls(taxonomy_named(settings.taxonomy), frozenset(ignoring), Shifts.from_settings(settings))


@dataclass
class UnknownLabels:
    """Labels that the taxonomy lacks: how often each was seen, rejected lines included, and in which source sets."""

    counts: Counter[str] = field(default_factory=Counter)
    source_sets: set[str] = field(default_factory=set)

    def add(self, label: str, source_set: str, count: int = 1) -> None:
        """Count components of one label."""
        name = label[:MAX_SHOWN]
        self.counts[name if name in self.counts or len(self.counts) < MAX_UNKNOWN else OTHERS] += count
        if len(self.source_sets) < MAX_UNKNOWN:
            self.source_sets.add(source_set)

    def merge(self, other: "UnknownLabels") -> None:
        """Add another's counts."""
        for label, count in other.counts.items():
            self.counts[label if label in self.counts or len(self.counts) < MAX_UNKNOWN else OTHERS] += count
        self.source_sets |= other.source_sets


@dataclass(frozen=True, slots=True)
class NestedNumbers:
    """An optional object of numbers.

    Attributes:
        numbers: The numbers that have columns; NaN for one that is missing.
        others: Values of the object that have no column, by name.
    """

    numbers: tuple[float, ...]
    others: dict[str, Any]


def read_event(line: bytes, rules: Rules, unknown: UnknownLabels) -> dict[str, Any]:
    """Read one line with care.

    Args:
        line: Bytes of one line.
        rules: Rules of the settings that the line must keep.
        unknown: Counts that the labels which the taxonomy lacks are added to.

    Returns:
        The line's object: `event_id` filled from `sample_id` where that is given instead, `audio_path` normalised,
        numbers within their ranges, and only components of known labels.

    Raises:
        RejectedError: The line is not a valid event.
    """
    event = parse_object(line)
    if event.get("event_id") is None and event.get("sample_id") is not None:
        event["event_id"] = event.pop("sample_id")
    missing = [name for name in REQUIRED if event.get(name) is None]
    if missing:
        raise RejectedError("missing_field", f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    _identifier("event_id", event["event_id"])
    _identifier("session_id", event["session_id"])
    _identifier("source_set", event["source_set"])
    event["onset_time"] = _onset(event["onset_time"])
    event["audio_path"] = FIELDS["audio_path"](event["audio_path"])
    _check_components(event, rules, unknown)
    for name, read in FIELDS.items():
        read(event.get(name))
    try:
        orjson.dumps(event)
    except TypeError:
        raise RejectedError("bad_json", "objects are nested too deeply to be kept") from None
    return event


def parse_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        RejectedError: bad_encoding, bad_json, not_an_object, repeated_key; or bad_onset where a NaN onset keeps it
            from being JSON.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _not_json(line, error) from None
    if type(value) is not dict:
        raise RejectedError("not_an_object", f"the line is JSON but not an object: {_shown(value)}")
    if line_may_repeat(line, count_keys([value])) and (key := repeated_key(line)) is not None:
        raise RejectedError("repeated_key", f"an object names {_shown(key)} twice, and only one value can be meant")
    return value


def in_range(value: float, least: float, most: float) -> float | None:
    """Return a number as its range holds it: its end for one rounded to just outside; None if it is further out."""
    if not least - ROUNDING <= value <= most + ROUNDING:
        return None
    return min(max(float(value), least), most) + 0.0  # -0.0 becomes 0.0


def normalise_path(path: str) -> str:
    r"""Return a relative POSIX path without `.`, `..` or empty parts; backslashes separate as they do on Windows.

    Raises:
        RejectedError: bad_path: empty, absolute (`/x`, `C:\x`, `\\server\x`), leaving its root, or holding a NUL.
    """
    posix = path.replace("\\", "/")
    if "\0" in posix:
        raise RejectedError("bad_path", f"audio_path holds a NUL character: {_shown(path)}")
    if posix.startswith("/") or (posix[1:2] == ":" and posix[0].isalpha()):
        raise RejectedError("bad_path", f"audio_path must be relative to a root: {_shown(path)}")
    parts: list[str] = []
    for part in posix.split("/"):
        if part == "..":
            if not parts:
                raise RejectedError("bad_path", f"audio_path leaves its root: {_shown(path)}")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise RejectedError("bad_path", f"audio_path names no file: {_shown(path)}")
    return "/".join(parts)


def _identifier(name: str, value: Any) -> str:
    """Return an identifier: of an event, a session or a source set."""
    if type(value) is not str:
        raise _wrong(name, _TEXT, value)
    if not value:
        raise RejectedError("missing_field", f"{name} is empty")
    if "\n" in value:
        # Ids are joined by line breaks where a hit is named after its events.
        raise RejectedError("wrong_type", f"{name} holds a line break: {_shown(value)}")
    return value


def _onset(value: Any) -> float:
    if type(value) not in (int, float):
        raise _wrong("onset_time", _NUMBER, value)
    onset = in_range(value, 0.0, MAX_ONSET_S)
    if onset is None:
        raise RejectedError("bad_onset", f"onset_time must be from 0 to {MAX_ONSET_S:.0f} s, not {_shown(value)}")
    return onset


def _check_components(event: dict[str, Any], rules: Rules, unknown: UnknownLabels) -> None:
    components, source_set = event["components"], event["source_set"]
    if type(components) is not list:
        raise _wrong("components", "a list of objects", components)
    if not components:
        raise RejectedError("no_components", "components is empty")
    for position, component in enumerate(components):
        _check_component(f"components[{position}]", component)
    strange = [component for component in components if component["label"] not in rules.taxonomy.canonical]
    for component in strange:
        unknown.add(component["label"], source_set)
    if not strange:
        return
    known = [component for component in components if component["label"] in rules.taxonomy.canonical]
    if not known or source_set not in rules.ignoring:
        labels = ", ".join(_shown(component["label"]) for component in strange[:MAX_LISTED])
        raise RejectedError("unknown_component", f"components: the {rules.taxonomy.name} taxonomy lacks label {labels}")
    event["components"] = known
    event["ignored_components"] = strange


def _check_component(name: str, component: Any) -> None:
    if type(component) is not dict:
        raise _wrong(name, _OBJECT, component)
    label = component.get("label")
    if label is None:
        raise RejectedError("missing_field", f"{name}.label missing")
    if type(label) is not str:
        raise _wrong(f"{name}.label", _TEXT, label)
    for key in COMPONENT_RANGES:
        value = component.get(key)
        if value is not None:
            held = in_range(value, 0.0, 1.0) if type(value) in (int, float) else None
            if held is None:
                raise _wrong(f"{name}.{key}", "a number from 0 to 1", value)
            component[key] = held
    bucket = component.get("dynamic_bucket")
    if bucket is not None and type(bucket) is not str:
        raise _wrong(f"{name}.dynamic_bucket", _TEXT, bucket)


def _path(value: Any) -> str:
    if type(value) is not str:
        raise _wrong("audio_path", _TEXT, value)
    return normalise_path(value)


def _techniques(value: Any) -> tuple[str, ...]:
    if value is not None and (type(value) is not list or any(type(item) is not str for item in value)):
        raise _wrong("techniques", "a list of strings", value)
    return tuple(value or ())


def _flag(name: str, value: Any) -> bool:
    if value is not None and type(value) is not bool:
        raise _wrong(name, "true or false", value)
    return bool(value)


def _description(name: str, value: Any) -> str | None:
    """Return an optional descriptive value; a number becomes its text."""
    if value is None:
        return None
    if type(value) not in (str, int, float):
        raise _wrong(name, _TEXT, value)
    return str(value)


def _nested(name: str, keys: tuple[str, ...], value: Any) -> NestedNumbers:
    if value is not None and type(value) is not dict:
        raise _wrong(name, _OBJECT, value)
    others = dict(value or {})
    numbers = [others.pop(key, None) for key in keys]
    for key, number in zip(keys, numbers, strict=True):
        if number is not None and (type(number) not in (int, float) or not abs(number) <= LARGEST):
            raise _wrong(f"{name}.{key}", _NUMBER, number)
    # -0.0 becomes 0.0.
    return NestedNumbers(tuple(math.nan if number is None else number + 0.0 for number in numbers), others)


FIELDS: dict[str, Callable[[Any], Any]] = {
    "session_id": partial(_identifier, "session_id"),
    "source_set": partial(_identifier, "source_set"),
    "audio_path": _path,
    "techniques": _techniques,
    "is_synthetic": partial(_flag, "is_synthetic"),
    "negative_example": partial(_flag, "negative_example"),
    **{name: partial(_description, name) for name in DESCRIPTIONS},
    "context_ms": partial(_nested, "context_ms", ("pre", "post")),
    "loudness": partial(_nested, "loudness", ("LUFS_i", "peak_dbfs")),
}
"""Field -> the function that gives the value of its column from its JSON value, or raises `RejectedError`.

Faults are looked for in this order; None stands for null and for a field that is not there.
"""


def _not_json(line: bytes, error: Exception) -> RejectedError:
    """Why a line is not JSON: its encoding, a NaN that other writers allow themselves, or its syntax."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as cause:
        return RejectedError("bad_encoding", f"the line is not UTF-8: {cause.reason} at byte {cause.start}")
    try:
        lenient = json.loads(text)
    except (ValueError, RecursionError):
        return RejectedError("bad_json", f"the line is not JSON: {error}")
    onset = lenient.get("onset_time") if isinstance(lenient, Mapping) else None
    if isinstance(onset, float) and not math.isfinite(onset):
        return RejectedError("bad_onset", f"onset_time must be from 0 to {MAX_ONSET_S:.0f} s, not {onset}")
    return RejectedError("bad_json", f"the line is not JSON (neither are NaN, Infinity and lone surrogates): {error}")


def _wrong(name: str, wanted: str, value: Any) -> RejectedError:
    return RejectedError("wrong_type", f"{name} must be {wanted}, not {_shown(value)}")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, dict | list) else _json(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return f"a deeply nested {type(value).__name__}"

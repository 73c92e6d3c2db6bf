"""Onsets as JSON: a list of times, objects with a time each, or JAMS."""

import math

import orjson

from beatsight_core.errors import InputError
from beatsight_core.inference.onset_files.column_names import unit_of_name
from beatsight_core.inference.onset_files.times import TimeUnit, Written, not_a_time, require_clear, written
from beatsight_core.manifest.parsing.repeated_keys import count_keys, line_may_repeat, repeated_key
from beatsight_core.typed_json import JsonValue

_LISTS = ("onsets", "hits", "events", "notes", "beats")
_NAMESPACES = ("onset", "note_midi", "note_hz", "note", "beat", "beat_position")
"""Of JAMS, those whose times are onsets, the surest first."""


def times_of_json(text: str, where: str) -> list[tuple[str, float]]:
    """Return where each time stands in a JSON text, and what it is in seconds.

    Read are a list of numbers, a list of objects with a field such as onset_time, onset, time or onset_ms; an object
    with such a list under onsets, hits, events, notes or beats, or under a name that states the unit; and JAMS.

    Raises:
        InputError: The text is no JSON, an object names a key twice, there is no such list, or an item is no time; the
            message names the item.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError("The onsets are not valid JSON", where=where, why=str(error), do="mend the file") from error
    data = text.encode("utf-8")
    if line_may_repeat(data, count_keys([value])) and (key := repeated_key(data)) is not None:
        why = f"an object names {key!r} twice, and readers differ in which one they take"
        raise InputError("The onsets cannot be read", where=where, why=why, do="take one of the two out")
    if isinstance(value, dict) and isinstance(value.get("annotations"), list):
        return _of_jams(value["annotations"], where)
    unit, items = _list_of(value, where)
    times = []
    for number, item in enumerate(items, 1):
        place = f"item {number}"
        own, time = _named(item, unit)
        times.append((place, own, _checked(time, f"{where}, {place}")))
    require_clear([(place, time) for place, own, time in times if not own.is_stated], unit, where)
    return [(place, own.seconds(time)) for place, own, time in times]


def _list_of(value: JsonValue, where: str) -> tuple[TimeUnit, list[JsonValue]]:
    """The list of a document, and the unit that the document states."""
    if isinstance(value, list):
        return TimeUnit(), value
    if isinstance(value, dict):
        rate = value.get("sample_rate", value.get("rate_hz", 0.0))
        rate = float(rate) if isinstance(rate, int | float) and not isinstance(rate, bool) else 0.0
        stated = unit_of_name(str(value.get("unit", "")), rate)
        for name in _LISTS:
            if isinstance(items := value.get(name), list):
                return _with_rate(stated[1] if stated else TimeUnit(), where), items
        for name, items in value.items():
            if isinstance(items, list) and (found := unit_of_name(name, rate)):
                return _with_rate(found[1], where), items
    raise InputError("The onsets are not a list", where=where, do="write a list of seconds, as in [0.5, 1.25]")


def _with_rate(unit: TimeUnit, where: str) -> TimeUnit:
    if unit.name == "samples" and not unit.rate_hz:
        raise InputError(
            "The onsets count samples, and the file does not say of which rate", where=where, do='add "sample_rate"'
        )
    return unit


def _named(item: JsonValue, unit: TimeUnit) -> tuple[TimeUnit, JsonValue]:
    """The time of an item: itself, or its field that is most likely the onset."""
    if not isinstance(item, dict):
        return unit, item
    named = [(*found, name) for name in item if (found := unit_of_name(str(name), unit.rate_hz))]
    if not named:
        return unit, None
    _, own, name = min(named, key=lambda each: each[0])
    return (own if own.is_stated else unit), item[name]


def _checked(value: JsonValue, where: str) -> Written:
    """A number, or the text of one.

    Raises:
        InputError: The item is neither, or no time.
    """
    time = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        time = Written(float(value), mark="." if isinstance(value, float) else None)
    elif isinstance(value, str):
        time = written(value)
    if time is None or not math.isfinite(time.value) or time.value < 0:
        raise not_a_time(value, where)
    return time


def _of_jams(annotations: list[JsonValue], where: str) -> list[tuple[str, float]]:
    """The times of the one annotation of JAMS that holds onsets.

    Raises:
        InputError: No list holds onsets, or several do.
    """
    tables = [each for each in annotations if isinstance(each, dict)]
    for namespace in _NAMESPACES:
        mine = [each for each in tables if each.get("namespace") == namespace]
        if len(mine) > 1:
            raise InputError(
                f"{len(mine)} annotations of the namespace {namespace} are in a JAMS file",
                where=where,
                why="they may be of several people, or of several instruments",
                do="keep the one that is meant",
            )
        if mine:
            return _observations(mine[0].get("data"), where)
    names = ", ".join(sorted({str(each.get("namespace")) for each in tables})) or "none"
    do = f"give one of the namespaces {', '.join(_NAMESPACES)}"
    raise InputError("A JAMS file holds no onsets", where=where, why=f"its namespaces are {names}", do=do)


def _observations(data: JsonValue, where: str) -> list[tuple[str, float]]:
    """The times of an annotation: a list of observations, or a table of columns as earlier versions wrote it."""
    values = data.get("time") if isinstance(data, dict) else data
    if not isinstance(values, list):
        raise InputError("An annotation of JAMS holds no list of observations", where=where, do="export it again")
    times = []
    for number, each in enumerate(values, 1):
        place = f"observation {number}"
        time = each.get("time") if isinstance(each, dict) else each
        times.append((place, _checked(time, f"{where}, {place}").value))
    return times

"""Onsets as people have them: a text file, a table, or JSON."""

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from beatsight_core.errors import InputError

_COLUMNS = ("onset_time", "onset", "onset_s", "time", "seconds")


def read_onsets(path: Path) -> NDArray[np.float64]:
    """Onsets in seconds from a text file (one a line), a CSV file or a JSON file.

    CSV: the first column, or the one called onset_time, onset, onset_s, time or seconds. JSON: a list of numbers or of
    objects with such a field, or an object with such a list under `onsets` or `hits`.

    Returns:
        Ascending; a time that repeats is kept once.

    Raises:
        InputError: The file cannot be read or holds no onset, or a line is not a time; the first such line is named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "The onsets cannot be read", where=path, why=str(error), do="check its name and form"
        ) from error
    values = _from_json(text, path) if path.suffix.lower() == ".json" else _from_lines(text, path)
    if not values:
        raise InputError("There are no onsets", where=path, do="write one a line, or leave the file out to detect them")
    return np.unique([_time(value, path, place) for place, value in values])


def _from_json(text: str, path: Path) -> list[tuple[str, Any]]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError("The onsets are not valid JSON", where=path, why=str(error), do="mend the file") from error
    if isinstance(value, dict):
        value = value.get("onsets", value.get("hits"))
    if not isinstance(value, list):
        raise InputError("The onsets are not a list", where=path, do="write a list of seconds, as in [0.5, 1.25]")
    return [(f"item {place}", _named(item)) for place, item in enumerate(value, 1)]


def _named(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return next((item[name] for name in _COLUMNS if name in item), None)


def _from_lines(text: str, path: Path) -> list[tuple[str, Any]]:
    rows = [(number, row) for number, row in enumerate(csv.reader(io.StringIO(text)), 1) if any(map(str.strip, row))]
    rows = [(number, row) for number, row in rows if not row[0].lstrip().startswith("#")]
    if not rows:
        return []
    names = [name.strip().lower() for name in rows[0][1]]
    column = next((names.index(name) for name in _COLUMNS if name in names), None)
    if column is not None:
        rows = rows[1:]
    return [(f"line {number}", row[column or 0] if len(row) > (column or 0) else None) for number, row in rows]


def _time(value: Any, path: Path, place: str) -> float:
    try:
        time = float(str(value).split()[0]) if value is not None and not isinstance(value, bool) else math.nan
    except (ValueError, IndexError):
        time = math.nan
    if not math.isfinite(time) or time < 0:
        raise InputError(f"{value!r} is not a time in seconds", where=f"{path}, {place}", do="mend or remove it")
    return time

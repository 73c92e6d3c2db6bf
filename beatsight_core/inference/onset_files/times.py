"""One written time: a number with a point or a comma, with or without a unit, or minutes and seconds with a colon."""

import math
import re
from dataclasses import dataclass

from beatsight_core.errors import InputError
from beatsight_core.typed_json import JsonValue

SECONDS, MILLISECONDS, SAMPLES = "s", "ms", "samples"

MOST_WHOLE = 100
"""Whole numbers from here on may be seconds, milliseconds or samples, so nobody can know."""

_NUMBER = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>s|sec|secs|seconds?|ms|msec)?", re.ASCII
)
_CLOCK = re.compile(r"(?:(?P<hours>\d+):)?(?P<minutes>\d{1,2}):(?P<seconds>\d{2}(?:[.,]\d+)?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Written:
    """A time as it was written.

    Attributes:
        value: Number in its unit.
        unit: TimeUnit beside the number, "s" or "ms"; None if there is none.
        mark: Decimal mark, "." or ","; None in a whole number.
    """

    value: float
    unit: str | None = None
    mark: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is a number without decimals and without a unit, of which nobody knows what it counts."""
        return self.unit is None and self.mark is None


def written(text: str) -> Written | None:
    """Return the time that a text says; None if it is none.

    `nan`, `inf`, `1_000` and other scripts' digits are none.
    """
    text = text.strip()
    if found := _NUMBER.fullmatch(text):
        number = found["number"]
        if not math.isfinite(float(number.replace(",", "."))):
            return None
        counted = number.rstrip(".,")  # as in a list: 1. 2. 3.
        mark = next((mark for mark in ",." if mark in counted), "." if "e" in number.lower() else None)
        unit = found["unit"] and (MILLISECONDS if found["unit"].startswith("m") else SECONDS)
        return Written(float(number.replace(",", ".")), unit, mark)
    if (found := _CLOCK.fullmatch(text)) and float(found["seconds"].replace(",", ".")) < 60:
        minutes = 60 * int(found["hours"] or 0) + int(found["minutes"])
        seconds = 60 * minutes + float(found["seconds"].replace(",", "."))
        return Written(seconds, SECONDS, "," if "," in text else ".")
    return None


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """The unit of numbers that state none of their own.

    Attributes:
        name: Name of the unit: "s", "ms" or "samples".
        rate_hz: Samples per second, where numbers count samples.
        is_stated: True if the file states the unit; False if it is merely the usual one.
    """

    name: str = SECONDS
    rate_hz: float = 0.0
    is_stated: bool = False

    def seconds(self, time: Written) -> float:
        """Return a written time in seconds."""
        unit = time.unit or self.name
        return time.value / {SECONDS: 1.0, MILLISECONDS: 1000.0, SAMPLES: self.rate_hz or math.nan}[unit]


def require_clear(times: list[tuple[str, Written]], unit: TimeUnit, where: str) -> None:
    """Refuse whole numbers whose unit nobody can know.

    Args:
        times: Position of each time, and what it says.
        unit: TimeUnit of the file.
        where: Name of the file.

    Raises:
        InputError: The times may be seconds, milliseconds or samples.
    """
    if unit.is_stated or not times or not all(time.is_whole for _, time in times):
        return
    place, large = max(times, key=lambda each: each[1].value)
    if large.value >= MOST_WHOLE:
        raise InputError(
            f"Nobody can know whether {large.value:g} is in seconds, milliseconds or samples",
            where=f"{where}, {place}",
            why="all times are whole numbers, and the file does not say what they count",
            do="put a heading above them: onset_s, onset_ms, or onset_samples with a line # sample_rate: 44100",
        )


def not_a_time(value: JsonValue, where: str, why: str | None = None) -> InputError:
    """Return the error for something that should be a time."""
    text = repr(value)
    shown = text if len(text) <= 60 else f"{text[:60]} …"
    return InputError(f"{shown} is not a time in seconds", where=where, why=why, do="mend or remove it")

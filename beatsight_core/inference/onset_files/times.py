"""One written time: a number with a point or a comma, with or without a unit, or minutes and seconds with a colon."""

import math
import re
from dataclasses import dataclass

from beatsight_core.errors import InputError

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
        value: In its unit.
        unit: "s" or "ms" if it stands beside the number.
        mark: The decimal mark, "." or ","; None in a whole number.
    """

    value: float
    unit: str | None = None
    mark: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is a number without decimals and without a unit, of which nobody knows what it counts."""
        return self.unit is None and self.mark is None


def written(text: str) -> Written | None:
    """The time that a text says; None if it is none. `nan`, `inf`, `1_000` and other scripts' digits are none."""
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
class Unit:
    """What numbers without a unit of their own count.

    Attributes:
        name: "s", "ms" or "samples".
        rate_hz: Samples per second, where they count samples.
        is_stated: Whether the file says so, rather than that being usual.
    """

    name: str = SECONDS
    rate_hz: float = 0.0
    is_stated: bool = False

    def seconds(self, time: Written) -> float:
        """A written time in seconds."""
        unit = time.unit or self.name
        return time.value / {SECONDS: 1.0, MILLISECONDS: 1000.0, SAMPLES: self.rate_hz or math.nan}[unit]


def require_clear(times: list[tuple[str, Written]], unit: Unit, where: str) -> None:
    """Refuse whole numbers of which nobody can know what they count.

    Args:
        times: Where each stands, and what it says.
        unit: What they count.
        where: The file.

    Raises:
        InputError: They may be seconds, milliseconds or samples.
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


def not_a_time(value: object, where: str, why: str | None = None) -> InputError:
    """The error for something that should be a time."""
    said = repr(value)
    shown = said if len(said) <= 60 else f"{said[:60]} …"
    return InputError(f"{shown} is not a time in seconds", where=where, why=why, do="mend or remove it")

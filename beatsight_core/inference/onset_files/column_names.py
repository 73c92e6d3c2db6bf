"""Names of columns and fields that hold times, and the unit that a name states."""

import re

from beatsight_core.inference.onset_files.times import MILLISECONDS, SAMPLES, SECONDS, TimeUnit

_ONSETS = ("onset", "onsets", "start", "begin", "time", "times", "timestamp", "zeit", "temps", "tiempo")
"""The surest first; what begins a note is an onset, and a mere time may be anything."""
_NO_ONSETS = {"end", "offset", "stop", "off", "duration", "length", "signature", "rate"}
"""Words of names that also hold one of a time, as "end time"."""
_OTHERS = _NO_ONSETS | {
    "nr", "no", "num", "number", "id", "index", "idx", "row", "count", "velocity", "vel", "pitch", "midi", "note",
    "bpm", "tempo", "beat", "beats", "bar", "bars", "measure", "frame", "frames", "db", "gain", "confidence",
    "probability", "channel", "nummer", "anzahl",
}  # fmt: skip
"""Words of names of columns that hold numbers, and no times."""
_SECONDS = ("s", "sec", "secs", "second", "seconds", "sekunden", "secondes")
_MILLISECONDS = ("ms", "msec", "millisecond", "milliseconds", "millisekunden")
_SAMPLES = ("sample", "samples", "smp")  # not frames, which are of an analysis as often

_FILLING = {"hz", "at", "in", "of", "the"}
_HUMP = re.compile(r"([a-z])([A-Z])")
_STATED_RATE = re.compile(r"(?:sample[ _-]?rate|samplerate|\bsr|\bfs)\W{0,4}(\d{4,6})\b", re.IGNORECASE)
_RATE_IN_NAME = re.compile(r"(\d{4,6})\s*(?:hz)?\W*$", re.IGNORECASE)


def unit_of_name(name: str, rate_hz: float = 0.0) -> tuple[int, TimeUnit] | None:
    """Return how likely a column of a name holds the onsets, and their unit; None if it holds none.

    Args:
        name: Name of a column, such as "onset", "Start (ms)", "onset_samples", "time_s", "seconds".
        rate_hz: Sample rate that the file states elsewhere.

    Returns:
        A rank, the least for the likeliest, and the unit.
    """
    words = _words(name)
    kinds = {**dict.fromkeys(_SECONDS, SECONDS), **dict.fromkeys(_MILLISECONDS, MILLISECONDS)}
    kinds |= dict.fromkeys(_SAMPLES, SAMPLES)
    named = next((kinds[word] for word in words if word in kinds), None)
    rank = next((place for place, word in enumerate(_ONSETS) if word in words), None)
    if _NO_ONSETS & set(words) or (rank is None and (named is None or len(words) > 1)):
        return None
    in_name = _RATE_IN_NAME.search(name)
    rate = float(in_name[1]) if in_name else rate_hz
    # Among columns alike, seconds are simplest; "onset_time" is what manifests call it, in seconds.
    stated = named or (SECONDS if {"onset", "time"} <= set(words) else None)
    order = {None: 1, SECONDS: 0, MILLISECONDS: 2, SAMPLES: 3}[stated]
    return 10 * (len(_ONSETS) if rank is None else rank) + order, TimeUnit(stated or SECONDS, rate, stated is not None)


def names_other_numbers(name: str) -> bool:
    """Return whether a column of a name holds numbers that are no times: row numbers, notes, beats."""
    return bool(_OTHERS & set(_words(name)))


def _words(name: str) -> list[str]:
    return [word for word in re.findall(r"[^\W\d_]+", _HUMP.sub(r"\1 \2", name).lower()) if word not in _FILLING]


def stated_rate(text: str) -> float:
    """Return the sample rate that a comment states, as "# sample_rate: 44100"; 0 if it states none."""
    found = _STATED_RATE.search(text)
    return float(found[1]) if found else 0.0

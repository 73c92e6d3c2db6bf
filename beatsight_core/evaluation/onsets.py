"""Where the hits of a recording are: read from a file, or found by spectral flux.

X is the magnitude of the Hann-windowed transform (`WINDOW_S` long, every `HOP_S`), summed into B bands that are equally
wide on a logarithmic axis, so that a kick's few bins weigh as much as a cymbal's many. With L = log(1 + c X),

    flux(n) = 1/B sum over bands of max(0, L(n) - L(n - 2))                            (half-wave rectified)

after Bello et al. 2005 and Böck and Widmer 2013. c is set from the recording's own level, so that a louder recording
gives the same onsets. Frame n is an onset where its flux is the greatest within `APART_S`, exceeds the median of its
surroundings by `ABOVE_MEDIAN`, and is at least `ABOVE_PEAK` of the strongest (its 99.9th percentile). Its time is the
frame's middle: half a window and the two frames of difference cancel out, which leaves clicks 1 ms early on average.
"""

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from beatsight_core.errors import InputError

WINDOW_S = 0.0232
HOP_S = 0.005
BANDS = 36
LOWEST_HZ = 30.0
HIGHEST_HZ = 16000.0
APART_S = 0.030
SURROUNDINGS_S = 0.100
ABOVE_MEDIAN = 0.16
ABOVE_PEAK = 0.10

_COMPRESSION = 100.0
"""c, for a recording whose loudest band magnitude is 1."""
_BLOCK = 4096
_COLUMNS = ("onset_time", "onset", "onset_s", "time", "seconds")


def detect_onsets(audio: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """The onsets of a recording.

    Args:
        audio: (n,) mono samples.
        rate_hz: Samples per second.

    Returns:
        Seconds from the start, ascending, at least `APART_S` apart.
    """
    hop = max(1, round(HOP_S * rate_hz))
    return _peaks(spectral_flux(audio, rate_hz)).astype(np.float64) * (hop / rate_hz)


def spectral_flux(audio: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """(frames,) how much louder the bands got; frame n is centred on sample n * round(HOP_S * rate_hz)."""
    window = 2 ** round(math.log2(WINDOW_S * rate_hz))
    hop = max(1, round(HOP_S * rate_hz))
    frames = 1 + len(audio) // hop
    padded = np.pad(audio.astype(np.float32), (window // 2, window // 2 + hop))
    views = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:frames]
    bank = _bands(window, rate_hz)
    taper = np.hanning(window + 1)[:-1].astype(np.float32)
    levels = np.concatenate(
        [np.abs(np.fft.rfft(views[at : at + _BLOCK] * taper, axis=1)) @ bank for at in range(0, frames, _BLOCK)]
    )
    loudest = float(levels.max(initial=0.0))
    if loudest <= 0.0:
        return np.zeros(frames)
    compressed = np.log1p(_COMPRESSION / loudest * levels)
    before = np.vstack([np.zeros((2, BANDS)), compressed[:-2]])[:frames]  # silence lies before the start
    flux: NDArray[np.float64] = np.maximum(compressed - before, 0.0).mean(axis=1)
    return flux


def read_onsets(path: Path) -> NDArray[np.float64]:
    """Onsets in seconds from a text file (one a line), a CSV file or a JSON file.

    CSV: the first column, or the one called onset_time, onset, onset_s, time or seconds. JSON: a list of numbers or of
    objects with such a field, or an object with such a list under `onsets` or `hits`.

    Returns:
        Ascending; a time that repeats is kept once.

    Raises:
        InputError: The file cannot be read, or a line is not a time; the first such line is named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "The onsets cannot be read", where=path, why=str(error), do="check its name and form"
        ) from error
    values = _from_json(text, path) if path.suffix.lower() == ".json" else _from_lines(text, path)
    return np.unique([_time(value, path, place) for place, value in values])


def _bands(window: int, rate_hz: int) -> NDArray[np.float32]:
    """(bins, bands) of 0 and 1: which bins a band sums; bands below the transform's resolution share bins."""
    highest = min(HIGHEST_HZ, rate_hz / 2)
    edges = np.geomspace(LOWEST_HZ, highest, BANDS + 1)
    bins = np.fft.rfftfreq(window, 1 / rate_hz)
    spacing = bins[1]
    centres = np.sqrt(edges[:-1] * edges[1:])
    inside = (bins[:, None] >= edges[None, :-1]) & (bins[:, None] < edges[None, 1:])
    nearest = np.abs(bins[:, None] - centres[None, :]) <= spacing / 2
    return np.where(inside.any(axis=0), inside, nearest).astype(np.float32)


def _peaks(flux: NDArray[np.float64]) -> NDArray[np.intp]:
    reach, around = round(APART_S / HOP_S), round(SURROUNDINGS_S / HOP_S)
    if not flux.any():
        return np.zeros(0, dtype=np.intp)
    greatest = _sliding(flux, reach).max(axis=1)
    usual = np.median(_sliding(flux, around), axis=1)
    strong = ABOVE_PEAK * float(np.quantile(flux, 0.999))
    found = np.flatnonzero((flux >= greatest) & (flux > usual + ABOVE_MEDIAN) & (flux >= strong))
    return found[np.diff(found, prepend=-reach - 1) > 1]  # of equal neighbours the first


def _sliding(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """(frames, 2 * reach + 1) of each frame's surroundings."""
    view: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(np.pad(values, reach), 2 * reach + 1)
    return view


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

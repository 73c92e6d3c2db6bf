"""Detection of the hits of a recording, by spectral flux.

X is the magnitude of the Hann-windowed transform (`WINDOW_S` long, every `HOP_S`), summed into B bands that are equally
wide on a logarithmic axis, so that a kick's few bins weigh as much as a cymbal's many, and divided by the recording's
loudest. Each band is then measured against its own recent past (after Stowell and Plumbley 2007), so that a soft stroke
on a hi-hat counts beside a loud kick: with the decay per frame g and L(n) = log(1 + c X(n) / W(n)),

    W(n) = max(X(n), g W(n - 1), `QUIET`)
    flux(n) = 1/B sum over bands of max(0, L(n) - L(n - 2))                            (half-wave rectified)

after Bello et al. 2005 and Böck and Widmer 2013. A louder recording gives the same onsets. Frame n is an onset where
its flux is the greatest within `APART_S`, exceeds the median of its surroundings by `ABOVE_MEDIAN`, and is at least
`ABOVE_PEAK` of the strongest (its 99.9th percentile). Its time is the frame's middle: half a window and the two frames
of difference cancel out.
"""

import math

import numpy as np
from numpy.typing import NDArray

from beatsight_core.audio.headers.header_limits import require_rate

WINDOW_S = 0.0232
HOP_S = 0.005
BANDS = 36
LOWEST_HZ = 30.0
HIGHEST_HZ = 16000.0
APART_S = 0.025
SURROUNDINGS_S = 0.100
ABOVE_MEDIAN = 0.28
ABOVE_PEAK = 0.10
MEMORY_S = 1.0
"""A band's loudest point counts 1/e of itself after this time."""

QUIET = 0.01
"""A band softer than this, beside the loudest of all, is not made louder: it would be noise."""

_COMPRESSION = 100.0
"""c."""
_BLOCK = 4096


def detect_onsets(audio: NDArray[np.float32] | NDArray[np.int16], rate_hz: int) -> NDArray[np.float64]:
    """Return the onsets of a recording.

    Beside the recording itself this takes about 40 kB of memory a second.

    Args:
        audio: Array (n,) of mono samples; how loud they are makes no difference.
        rate_hz: Samples per second.

    Returns:
        Seconds from the start, ascending, at least `APART_S` apart.

    Raises:
        AudioError: No audio has such a rate.
    """
    require_rate(rate_hz)
    hop = max(1, round(HOP_S * rate_hz))
    return _peaks(spectral_flux(audio, rate_hz)).astype(np.float64) * (hop / rate_hz)


def spectral_flux(audio: NDArray[np.float32] | NDArray[np.int16], rate_hz: int) -> NDArray[np.float64]:
    """Return how much louder the bands got, (frames,); frame n is centred on sample n * round(HOP_S * rate_hz)."""
    hop = max(1, round(HOP_S * rate_hz))
    levels = _levels(audio, rate_hz, hop)
    flux = np.zeros(levels.shape[1])
    loudest = float(levels.max(initial=0.0))
    if loudest <= 0.0:
        return flux
    for band in levels:  # one at a time: all together take many times the memory of the recording
        compressed = np.log1p(_COMPRESSION * _against_own_past(band / loudest, hop / rate_hz))
        usual = np.median(compressed[: round(MEMORY_S / HOP_S)])  # lies before the start: noise, not silence
        before = np.concatenate([[usual, usual], compressed[:-2]])[: len(flux)]
        flux += np.maximum(compressed - before, 0.0)
    flux /= len(levels)
    return flux


def _levels(audio: NDArray[np.float32] | NDArray[np.int16], rate_hz: int, hop: int) -> NDArray[np.float32]:
    """(bands, frames) magnitudes; of the recording only a block is transformed at a time."""
    window = 2 ** round(math.log2(WINDOW_S * rate_hz))
    frames = 1 + len(audio) // hop
    bank = _bands(window, rate_hz)
    taper = np.hanning(window + 1)[:-1].astype(np.float32)
    levels = np.empty((bank.shape[1], frames), np.float32)
    for first in range(0, frames, _BLOCK):
        following = min(first + _BLOCK, frames)
        block = np.zeros((following - first - 1) * hop + window, np.float32)
        begin = first * hop - window // 2
        there = audio[max(begin, 0) : begin + len(block)]
        block[max(-begin, 0) :][: len(there)] = there
        views = np.lib.stride_tricks.sliding_window_view(block, window)[::hop]
        levels[:, first:following] = (np.abs(np.fft.rfft(views * taper, axis=1)) @ bank).T
    return levels


def _against_own_past(levels: NDArray[np.float32], hop_s: float) -> NDArray[np.float64]:
    """(frames,) in 0..1: a band over what remains of its loudest point so far.

    Before the recording its beginning is heard backwards, so that its first sound, noise perhaps, is not the loudest so
    far. max over k <= n of x(k) g^(n - k) is a running maximum of log x(k) + k log(1/g), less n log(1/g).
    """
    before = levels[: round(MEMORY_S / hop_s)][::-1]
    logarithms = np.log(np.maximum(np.concatenate([before, levels]), QUIET))
    rise = np.arange(len(logarithms)) * (hop_s / MEMORY_S)
    remembered = np.exp(np.maximum.accumulate(logarithms + rise) - rise)[len(before) :]
    relative: NDArray[np.float64] = levels / np.maximum(remembered, QUIET)
    return relative


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
    surroundings = _sliding(flux, around)
    usual = np.concatenate([np.median(surroundings[at : at + _BLOCK], axis=1) for at in range(0, len(flux), _BLOCK)])
    strong = ABOVE_PEAK * float(np.quantile(flux, 0.999))
    found = np.flatnonzero((flux >= greatest) & (flux > usual + ABOVE_MEDIAN) & (flux >= strong))
    return found[np.diff(found, prepend=-reach - 1) > 1]  # of equal neighbours the first


def _sliding(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """(frames, 2 * reach + 1) of each frame's surroundings."""
    view: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(np.pad(values, reach), 2 * reach + 1)
    return view

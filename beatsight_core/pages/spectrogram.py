"""What a sound looks like, for people: bands of equal musical width over time. Not what a model is given.

It needs no torch, so that pages of datasets can be made without it, and the one log-mel stays the model's.
"""

import numpy as np
import numpy.typing as npt

from beatsight_core.pages.raster import raster

BANDS, COLUMNS = 72, 112
LOWEST_HZ, HIGHEST_HZ = 45.0, 16000.0
FLOOR_DB = -72.0
"""What lies further below the loudest point is drawn as silence."""

_WINDOW_S = 0.024


def spectrogram(samples: npt.NDArray[np.int16], rate_hz: int) -> bytes:
    """Return a short sound as a PNG of `COLUMNS` by `BANDS`, low frequencies below.

    Args:
        samples: Samples of the sound, mono, int16, shape (n,).
        rate_hz: Rate of the samples in hertz.
    """
    return raster(band_decibels(samples, rate_hz))


def band_decibels(samples: npt.NDArray[np.int16], rate_hz: int) -> npt.NDArray[np.float64]:
    """Return the levels of bands of equal musical width over time.

    Args:
        samples: Samples of the sound, mono, int16, shape (n,).
        rate_hz: Rate of the samples in hertz.

    Returns:
        (BANDS, COLUMNS) decibels below the loudest, no less than `FLOOR_DB`; all of that for silence.
    """
    size = 1 << round(np.log2(_WINDOW_S * rate_hz))
    padded = np.pad(samples.astype(np.float64), size // 2)
    starts = np.rint(np.linspace(0, max(len(samples) - 1, 0), COLUMNS)).astype(int)
    frames = padded[starts[:, None] + np.arange(size)] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames)) ** 2
    # A band's mean power is a difference of the running sum: also where a band is narrower than a bin.
    running = np.concatenate([np.zeros((COLUMNS, 1)), np.cumsum(power, axis=1)], axis=1)
    bin_edges = (np.arange(power.shape[1] + 1) - 0.5) * rate_hz / size
    edges = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, rate_hz / 2), BANDS + 1)
    at_edges = np.stack([np.interp(edges, bin_edges, line) for line in running])
    bands = (np.diff(at_edges, axis=1) / np.diff(edges)).T
    loudest = bands.max(initial=0.0)
    if loudest <= 0:
        return np.full((BANDS, COLUMNS), FLOOR_DB)
    levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(bands / loudest, 1e-12))
    return np.maximum(levels, FLOOR_DB)

"""Integrated loudness of a recording by ITU-R BS.1770-4, and its sample peak."""

import numpy as np

from beatsight_core.synthesis.synth import Floats, Signal

_STEP_S, _STEPS = 0.1, 4
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0
_OFFSET = -0.691

# The standard's two filters at 48 kHz; their response at a frequency serves every rate.
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))


def integrated_loudness(channels: Signal, rate_hz: int) -> float:
    """Return the loudness in LUFS of samples (channels, n); each channel counts as a front channel.

    The energy of each 100 ms is weighted in the frequency domain, which is fast and comes close to the standard's
    running filters.
    """
    step = int(_STEP_S * rate_hz)
    steps = np.sum([_step_energies(channel, step, rate_hz) for channel in channels], axis=0)
    energies = np.convolve(steps, np.full(_STEPS, 1.0 / _STEPS), "valid") if steps.size >= _STEPS else steps
    levels = _OFFSET + 10.0 * np.log10(np.maximum(energies, 1e-12))
    loud = energies[levels > _ABSOLUTE_GATE]
    if loud.size == 0:
        return _ABSOLUTE_GATE
    gate = _OFFSET + 10.0 * np.log10(loud.mean()) + _RELATIVE_GATE
    return float(_OFFSET + 10.0 * np.log10(energies[levels > gate].mean()))


def peak_dbfs(channels: Signal) -> float:
    """Return the largest sample of (channels, n) in dB of full scale."""
    return float(20.0 * np.log10(max(float(np.abs(channels).max()), 1e-9)))


def _step_energies(channel: Signal, step: int, rate_hz: int) -> Floats:
    count = max(1, channel.size // step)
    pieces = np.zeros((count, step), dtype=np.float32)
    usable = channel[: count * step]
    pieces.reshape(-1)[: usable.size] = usable
    power = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    weight = _weighting(np.asarray(np.fft.rfftfreq(step, 1.0 / rate_hz), dtype=np.float64))
    return np.asarray(2.0 * (power * weight).sum(axis=1) / step**2)


def _weighting(hz: Floats) -> Floats:
    z = np.exp(-2j * np.pi * np.minimum(hz, 23999.0) / 48000.0)
    response = np.ones_like(z)
    for numerator, denominator in (_SHELF, _HIGH_PASS):
        response *= np.polyval(numerator[::-1], z) / np.polyval(denominator[::-1], z)
    return np.abs(response) ** 2

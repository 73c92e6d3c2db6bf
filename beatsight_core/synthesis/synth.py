"""Drums and cymbals as bodies: what a membrane, a plate or a stick does after a blow, as modes and shaped noise.

Conventions: frequencies in hertz, levels in dB, `t60` in seconds until a level has fallen by 60 dB. A signal is
float32, mono, and begins with the blow: its first sample is the moment of contact. A `Curve` is a list of (hertz,
value) points, read between them along the logarithm of frequency.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Curve = Sequence[tuple[float, float]]

_BLOCK = 512
_TO_60_DB = float(np.log(1000.0))
_BAND_HZ: Floats = 100.0 * 2.0 ** (np.arange(16) / 2.0)
_LOUDNESS_S = 0.06


@dataclass(frozen=True, slots=True)
class Modes:
    """The resonances of a body at its strongest blow: parallel arrays (K,).

    Attributes:
        hz: Frequencies.
        t60: Decay times.
        db: Levels.
    """

    hz: Floats
    t60: Floats
    db: Floats


@dataclass(frozen=True, slots=True)
class Noise:
    """A burst of noise with a spectrum and a decay of its own: snare wires, the wash of a cymbal, a stick's click.

    Attributes:
        db: Spectrum.
        t60: Decay over frequency.
        rise_s: Time constant of its growth; 0 starts at once.
        delay_s: Silence before it.
        flutter_hz: Rate of a rough amplitude modulation, as of two cymbals that clatter; 0 for none.
    """

    db: Curve
    t60: Curve
    rise_s: float = 0.0
    delay_s: float = 0.0
    flutter_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Body:
    """A body that sounds when it is hit.

    Attributes:
        modes: Resonances of the body.
        noises: Bursts that a blow sets free.
        length_s: Time at which its sound is cut with a fade.
        glide: Pitch at contact over the final pitch, minus 1, for the strongest blow: a membrane is tighter at first.
        glide_s: Time constant of that.
        dulling_db: Loss per octave above 400 Hz of the softest blow: soft strokes are darker.
        wander_db: Spread of mode levels from stroke to stroke: no two blows meet the same spot.
        soft_contact_s: Time constant of the modes' growth: felt, foot and cymbal on cymbal are slower than a stick.
    """

    modes: Modes
    noises: tuple[Noise, ...]
    length_s: float
    glide: float = 0.0
    glide_s: float = 0.02
    dulling_db: float = 3.0
    wander_db: float = 1.5
    soft_contact_s: float = 0.0003


class NoiseBank:
    """Half-octave bands of noise from 100 Hz up, made once, read at random places: shaped noise is their weighted sum.

    Args:
        rng: Source of the noise.
        rate_hz: Samples per second.
    """

    def __init__(self, rng: np.random.Generator, rate_hz: int):
        self.rate_hz = rate_hz
        self.size = 1 << 18
        hz = np.fft.rfftfreq(self.size, 1.0 / rate_hz)
        octaves = np.log2(np.maximum(hz, 1.0))
        self.bands = np.stack([self._band(rng, octaves - np.log2(center)) for center in _BAND_HZ])

    def _band(self, rng: np.random.Generator, octaves: Floats) -> Signal:
        weight = np.exp(-0.5 * (octaves / 0.22) ** 2).astype(np.float32)
        weight[weight < 1e-4] = 0.0
        spectrum = weight * np.exp(2j * np.pi * rng.random(weight.size, dtype=np.float32)).astype(np.complex64)
        band = np.fft.irfft(spectrum, self.size).astype(np.float32)
        return np.asarray(band / np.sqrt(np.mean(band**2)), dtype=np.float32)

    def read(self, rng: np.random.Generator, band: int, n: int) -> Signal:
        """Return `n` samples of a band from a random position."""
        start = int(rng.integers(self.size - n))
        return np.asarray(self.bands[band, start : start + n])


def at(curve: Curve, hz: Floats) -> Floats:
    """Return the values of a curve at frequencies."""
    points = np.asarray(curve, dtype=np.float64)
    return np.interp(np.log(hz), np.log(points[:, 0]), points[:, 1])


def gain(db: Floats | float) -> Floats:
    """Return the amplitude of a level in decibels."""
    return np.asarray(10.0 ** (np.asarray(db, dtype=np.float64) / 20.0))


def strike(body: Body, bank: NoiseBank, rng: np.random.Generator, strength: float) -> Signal:
    """Return the sound of one blow.

    Its loudness is 1 (RMS of its first 60 ms) whatever the strength: the mix sets the level.

    Args:
        body: Body that is hit.
        bank: Noise, and the rate.
        rng: Source of what differs from blow to blow.
        strength: Strength of the blow, 0 (softest) to 1.

    Returns:
        Samples (n,) from the moment of contact.
    """
    n = int(body.length_s * bank.rate_hz)
    sound = _ring(body, bank.rate_hz, rng, strength, n)
    for noise in body.noises:
        _add_noise(sound, noise, bank, rng, body.dulling_db * (strength - 1.0))
    fade = min(n // 4, int(0.05 * bank.rate_hz))
    sound[n - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    loudness = np.sqrt(np.mean(sound[: int(_LOUDNESS_S * bank.rate_hz)] ** 2))
    return (sound / max(float(loudness), 1e-9)).astype(np.float32)


def _ring(body: Body, rate: int, rng: np.random.Generator, strength: float, n: int) -> Signal:
    modes = body.modes
    level = (
        modes.db + _dulled(body.dulling_db * (strength - 1.0), modes.hz) + rng.normal(0, body.wander_db, modes.hz.size)
    )
    amplitude = gain(level)
    phase = rng.uniform(-0.6, 0.6, modes.hz.size)
    if body.glide > 0.0:
        sound = _gliding(modes, amplitude, phase, _warped_time(body, strength, n, rate))
    else:
        sound = _steady(modes, amplitude, phase, n, rate)
    contact = int(8 * body.soft_contact_s * rate) + 1
    sound[:contact] *= _rise(contact, body.soft_contact_s, rate)
    return sound


def _dulled(db_per_octave: float, hz: Floats) -> Floats:
    return np.asarray(db_per_octave * np.log2(np.maximum(hz / 400.0, 1.0)))


def _warped_time(body: Body, strength: float, n: int, rate: int) -> Floats:
    """Seconds that run faster at first: the integral of 1 + glide * exp(-t / glide_s)."""
    t = np.arange(n) / rate
    extra = body.glide * strength * body.glide_s
    return np.asarray(t + extra * -np.expm1(-t / body.glide_s))


def _gliding(modes: Modes, amplitude: Floats, phase: Floats, warped: Floats) -> Signal:
    t = warped.astype(np.float32)
    sound = np.zeros(t.size, dtype=np.float32)
    for hz, t60, level, shift in zip(modes.hz, modes.t60, amplitude, phase, strict=True):
        angle = (2.0 * np.pi * hz * warped + shift).astype(np.float32)
        sound += np.float32(level) * np.sin(angle) * np.exp(t * np.float32(-_TO_60_DB / t60))
    return sound


def _steady(modes: Modes, amplitude: Floats, phase: Floats, n: int, rate: int) -> Signal:
    """Sum of decaying sinusoids as one matrix product: rows are blocks' starts, columns the samples within a block."""
    pole = (-_TO_60_DB / modes.t60 + 2j * np.pi * modes.hz) / rate
    blocks = -(-n // _BLOCK)
    start = np.exp(np.outer(np.arange(blocks) * _BLOCK, pole)) * (amplitude * np.exp(1j * phase))
    within = np.exp(np.outer(pole, np.arange(_BLOCK)))
    rows = np.concatenate([start.imag, start.real], axis=1).astype(np.float32)
    columns = np.concatenate([within.real, within.imag], axis=0).astype(np.float32)
    return np.asarray(rows @ columns, dtype=np.float32).reshape(-1)[:n].copy()


def _add_noise(sound: Signal, noise: Noise, bank: NoiseBank, rng: np.random.Generator, dulling_db: float) -> None:
    rate = bank.rate_hz
    delay = int(noise.delay_s * rate)
    level = gain(at(noise.db, _BAND_HZ) + _dulled(dulling_db, _BAND_HZ) + rng.normal(0.0, 0.8, _BAND_HZ.size))
    t60 = at(noise.t60, _BAND_HZ)
    heard = np.flatnonzero(level > 1e-3 * level.max())
    n = min(sound.size - delay, int(1.2 * float(t60[heard].max()) * rate))
    t = np.arange(n, dtype=np.float32) / np.float32(rate)
    burst = np.zeros(n, dtype=np.float32)
    for band in heard:
        burst += bank.read(rng, int(band), n) * np.exp(t * np.float32(-_TO_60_DB / t60[band])) * np.float32(level[band])
    if noise.rise_s:
        burst *= _rise(n, noise.rise_s, rate)
    if noise.flutter_hz:
        burst *= _flutter(rng, noise.flutter_hz, t)
    sound[delay : delay + n] += burst


def _rise(n: int, rise_s: float, rate: int) -> Signal:
    return np.asarray(-np.expm1(-(np.arange(n, dtype=np.float32) + 1.0) / np.float32(rise_s * rate)), dtype=np.float32)


def _flutter(rng: np.random.Generator, rate_hz: float, t: Signal) -> Signal:
    knots = rng.uniform(0.25, 1.0, int(t[-1] * rate_hz * 2.0) + 2)
    return np.interp(t, np.arange(knots.size) / (rate_hz * 2.0), knots).astype(np.float32)

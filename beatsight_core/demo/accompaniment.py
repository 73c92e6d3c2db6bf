"""A light band behind some sessions: bass, pad and comp over a chord progression, so that drums are not alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from beatsight_core.demo.performance import Section
from beatsight_core.synthesis.synth import Signal

_PROGRESSIONS = ((0, 5, 7, 0), (0, 8, 3, 10), (0, 3, 5, 10), (0, 10, 8, 7))
"""Roots of successive bars, in semitones above the key."""

_CHORD = (0, 3, 7, 10)


@dataclass(frozen=True, slots=True)
class _Bar:
    """Where a bar lies in samples and what is played in it."""

    start: int
    beat: int
    quarters: float
    root_hz: float
    rate_hz: int


def accompany(
    sections: tuple[Section, ...], n: int, rate_hz: int, rng: np.random.Generator, lead_in_s: float
) -> Signal:
    """Play bass, pad and comp for the bars of a session.

    Args:
        sections: Sections that the drums play.
        n: Length of the session in samples.
        rate_hz: Sample rate of the session.
        rng: Source of key, progression and voicings.
        lead_in_s: Time of the first beat.

    Returns:
        Samples (n,) of RMS 1.
    """
    out = np.zeros(n, dtype=np.float32)
    for bar in _bars(sections, rate_hz, rng, lead_in_s):
        for beat in np.arange(0.0, bar.quarters, 1.0):
            _add(out, bar.start + int(beat * bar.beat), _bass(bar, 0.9))
        _add(out, bar.start, _pad(bar, rng))
        for beat in np.arange(1.5, bar.quarters, 2.0):
            _add(out, bar.start + int(beat * bar.beat), _comp(bar))
    return np.asarray(out / max(float(np.sqrt(np.mean(out**2))), 1e-9), dtype=np.float32)


def _bars(sections: tuple[Section, ...], rate_hz: int, rng: np.random.Generator, lead_in_s: float) -> Iterator[_Bar]:
    key_hz = 55.0 * 2.0 ** (int(rng.integers(-3, 5)) / 12.0)
    roots = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    start_s, number = lead_in_s, 0
    for section in sections:
        beat_s = 60.0 / section.tempo_bpm
        for _ in range(section.bars):
            root_hz = key_hz * 2.0 ** (roots[number % 4] / 12.0)
            yield _Bar(int(start_s * rate_hz), int(beat_s * rate_hz), section.groove.quarters, root_hz, rate_hz)
            start_s += section.groove.quarters * beat_s
            number += 1


def _bass(bar: _Bar, share: float) -> Signal:
    """A plucked string: harmonics that fall off, the high ones sooner."""
    n = int(bar.beat * share)
    t = np.arange(n, dtype=np.float32) / np.float32(bar.rate_hz)
    note = np.zeros(n, dtype=np.float32)
    for harmonic in range(1, 7):
        angle = np.float32(2.0 * np.pi * bar.root_hz * harmonic) * t
        note += np.sin(angle) * np.exp(t * np.float32(-1.5 * harmonic)) / np.float32(harmonic)
    return _eased(note, bar.rate_hz, 0.006)


def _pad(bar: _Bar, rng: np.random.Generator) -> Signal:
    """A string section: each harmonic of the chord spread over a few neighbouring bins of one transform."""
    n = int(bar.quarters * bar.beat)
    spectrum = np.zeros(n // 2 + 1, dtype=np.complex64)
    for semitones in _CHORD:
        for harmonic in range(1, 8):
            centre = bar.root_hz * 4.0 * 2.0 ** (semitones / 12.0) * harmonic * n / bar.rate_hz
            bins = np.arange(int(centre) - 1, int(centre) + 3)
            spectrum[bins] += np.exp(2j * np.pi * rng.random(4)) / harmonic**1.5
    pad = np.fft.irfft(spectrum, n)
    return _eased((0.35 * pad / np.sqrt(np.mean(pad**2))).astype(np.float32), bar.rate_hz, 0.15)


def _comp(bar: _Bar) -> Signal:
    """An electric piano: a short chord by frequency modulation."""
    n = int(0.45 * bar.beat)
    t = np.arange(n, dtype=np.float32) / np.float32(bar.rate_hz)
    chord = np.zeros(n, dtype=np.float32)
    for semitones in _CHORD[1:]:
        angle = np.float32(2.0 * np.pi * bar.root_hz * 4.0 * 2.0 ** (semitones / 12.0)) * t
        chord += np.sin(angle + np.exp(-9.0 * t) * np.sin(2.0 * angle)) * np.exp(-5.0 * t)
    return _eased(0.25 * chord, bar.rate_hz, 0.008)


def _eased(sound: Signal, rate_hz: int, ease_s: float) -> Signal:
    n = min(int(ease_s * rate_hz), sound.size // 2)
    ramp = np.sin(np.linspace(0.0, np.pi / 2.0, n, dtype=np.float32)) ** 2
    sound[:n] *= ramp
    sound[sound.size - n :] *= ramp[::-1]
    return sound


def _add(out: Signal, start: int, sound: Signal) -> None:
    n = max(0, min(sound.size, out.size - start))
    out[start : start + n] += sound[:n]

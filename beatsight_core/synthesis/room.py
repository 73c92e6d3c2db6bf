"""Rooms: what comes back from the walls after the direct sound, which itself is never delayed."""

from dataclasses import dataclass

import numpy as np

from beatsight_core.synthesis.synth import Signal

_BANDS_HZ = (160.0, 500.0, 1500.0, 4500.0, 12000.0)
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Room:
    """A room as a microphone hears it.

    Attributes:
        room_id: Id of the room in events.
        seed: Seed of its echoes.
        t60_s: Reverberation time in the middle; bass lasts longer, treble shorter.
        wet_db: Energy of what comes back, relative to the direct sound.
        first_s: Delay of the first wall.
    """

    room_id: str
    seed: tuple[int, ...]
    t60_s: float
    wet_db: float
    first_s: float


def echoes(room: Room, channel: int, rate_hz: int) -> Signal:
    """Return the impulse response of a room without its direct sound: a dozen early walls, then a diffuse tail."""
    rng = np.random.default_rng([*room.seed, channel])
    n = int(room.t60_s * rate_hz)
    t = np.arange(n) / rate_hz
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1.0 / rate_hz)
    response = np.zeros(n)
    for index, centre in enumerate(_BANDS_HZ):
        weight = np.exp(-0.5 * (np.log2(np.maximum(hz, 1.0) / centre) / 0.8) ** 2)
        t60 = room.t60_s * (1.15 - 0.17 * index)
        response += np.fft.irfft(spectrum * weight, n) * 10.0 ** (-3.0 * t / t60)
    response *= np.minimum(1.0, np.maximum(0.0, t - room.first_s) / 0.02)
    walls = (room.first_s + np.cumsum(rng.uniform(0.0008, 0.006, 12))) * rate_hz
    response[walls.astype(int)] += rng.choice([-1.0, 1.0], 12) * np.abs(response).max() * np.geomspace(2.0, 0.6, 12)
    response *= 10.0 ** (room.wet_db / 20.0) / np.sqrt(np.sum(response**2))
    return response.astype(np.float32)


def convolve(sound: Signal, response: Signal) -> Signal:
    """Return `sound` through `response`, of the length of `sound`: overlapping blocks by FFT."""
    block = _CHUNK - response.size + 1
    blocks = -(-sound.size // block)
    padded = np.zeros(blocks * block, dtype=np.float32)
    padded[: sound.size] = sound
    spectra = np.fft.rfft(padded.reshape(blocks, block), _CHUNK, axis=1)
    spectra *= np.fft.rfft(response, _CHUNK)
    parts = np.fft.irfft(spectra, _CHUNK, axis=1)
    out = np.zeros(blocks * block + _CHUNK, dtype=np.float32)
    for index, part in enumerate(parts):
        out[index * block : index * block + _CHUNK] += part
    return out[: sound.size]

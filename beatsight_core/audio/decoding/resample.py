"""The one change of sample rate and the one rounding to 16 bit.

soxr gives the same bits whether audio comes whole or in blocks of any sizes; a test holds it to that. So a file of any
length can be resampled in little memory, and a shard does not depend on how its audio was read.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

QUALITY = "HQ"
RESAMPLER = "soxr-hq"
"""Names the resampler in digests: another one, or another quality, makes other clips."""

FULL_SCALE = 32768.0

Samples16 = NDArray[np.int16]
SamplesFloat = NDArray[np.float32]


class Resampler:
    """Mono audio at another rate and in 16 bit, block by block: the bytes of `to_pcm16(resample(...))` of the whole.

    Args:
        from_hz: Rate of the samples that come in.
        to_hz: Rate of the samples that are given back.
    """

    def __init__(self, from_hz: int, to_hz: int):
        same = from_hz == to_hz
        self._stream = None if same else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality=QUALITY)

    def push(self, samples: Samples16 | SamplesFloat) -> Samples16:
        """Return the samples of a block, as far as they are certain before the next one comes."""
        if self._stream is None:
            return to_pcm16(samples)
        return to_pcm16(self._stream.resample_chunk(np.ascontiguousarray(to_float32(samples))))

    def finish(self) -> Samples16:
        """Return the samples that are left when no block follows."""
        if self._stream is None:
            return np.empty(0, np.int16)
        return to_pcm16(self._stream.resample_chunk(np.empty(0, np.float32), last=True))


def resample(samples: SamplesFloat, from_hz: int, to_hz: int) -> SamplesFloat:
    """Return mono audio at another rate; with equal rates, the samples themselves.

    Args:
        samples: Array (n,) of float32.
        from_hz: Rate of these samples.
        to_hz: Rate of the result.

    Returns:
        (round(n * to_hz / from_hz),) float32, aligned with the input: no delay.
    """
    if from_hz == to_hz:
        return samples
    resampled: SamplesFloat = soxr.resample(samples, from_hz, to_hz, quality=QUALITY)
    return resampled


def to_pcm16(samples: SamplesFloat | Samples16) -> Samples16:
    """Round to 16 bit, half to even, clipped at full scale; 16-bit samples pass unchanged."""
    if samples.dtype == np.int16:
        return samples  # type: ignore[return-value]
    scaled: SamplesFloat = np.clip(samples, -1.0, 1.0)
    scaled *= np.float32(FULL_SCALE)
    np.rint(scaled, out=scaled)
    np.minimum(scaled, np.float32(FULL_SCALE - 1), out=scaled)
    rounded: Samples16 = scaled.astype(np.int16)
    return rounded


def to_float32(samples: SamplesFloat | Samples16) -> SamplesFloat:
    """Return 16-bit samples as float32 in -1..1, exactly; float32 passes unchanged."""
    if samples.dtype == np.float32:
        return samples  # type: ignore[return-value]
    return samples.astype(np.float32) * np.float32(1.0 / FULL_SCALE)

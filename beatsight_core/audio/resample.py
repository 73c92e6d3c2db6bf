"""The one change of sample rate and the one rounding to 16 bit."""

import numpy as np
import soxr
from numpy.typing import NDArray

QUALITY = "HQ"
RESAMPLER = "soxr-hq"
"""Names the resampler in digests: another one, or another quality, makes other clips."""

FULL_SCALE = 32768.0


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Mono audio at another rate; equal rates give the samples back.

    Args:
        samples: (n,) float32.
        from_hz: Their rate.
        to_hz: The rate wanted.

    Returns:
        (round(n * to_hz / from_hz),) float32, aligned with the input: no delay.
    """
    if from_hz == to_hz:
        return samples
    resampled: NDArray[np.float32] = soxr.resample(samples, from_hz, to_hz, quality=QUALITY)
    return resampled


def to_pcm16(samples: NDArray[np.float32] | NDArray[np.int16]) -> NDArray[np.int16]:
    """Round to 16 bit, half to even, clipped at full scale; 16-bit samples pass unchanged."""
    if samples.dtype == np.int16:
        return samples  # type: ignore[return-value]
    scaled = np.rint(samples * np.float32(FULL_SCALE))
    rounded: NDArray[np.int16] = np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return rounded


def to_float32(samples: NDArray[np.float32] | NDArray[np.int16]) -> NDArray[np.float32]:
    """16-bit samples as float32 in -1..1, exactly; float32 passes unchanged."""
    if samples.dtype == np.float32:
        return samples  # type: ignore[return-value]
    return samples.astype(np.float32) * np.float32(1.0 / FULL_SCALE)

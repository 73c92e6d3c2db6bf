"""Time and rate: the types and the one rounding from seconds to samples.

Conventions: a plain `float` named `*_s` or of type `Seconds` is in seconds, `*_ms` in milliseconds, `*_hz` in hertz.
"""

import math
from typing import NewType

Seconds = NewType("Seconds", float)
Samples = NewType("Samples", int)
Hertz = NewType("Hertz", int)

LEAST_RATE_HZ, GREATEST_RATE_HZ = 1_000, 768_000
"""What a sample rate of audio can be."""


def seconds_to_samples(seconds: float, rate_hz: int) -> Samples:
    """Return the sample nearest to a time: half a sample rounds up, at every sign and on every platform.

    Args:
        seconds: Time in seconds; negative before the start.
        rate_hz: Samples per second, positive.

    Returns:
        The sample's index: floor(seconds * rate_hz + 1/2).

    Raises:
        ValueError: `seconds` is not finite or `rate_hz` is not positive.
    """
    if rate_hz <= 0:
        raise ValueError(f"rate_hz must be positive, got {rate_hz}")
    if not math.isfinite(seconds):
        raise ValueError(f"seconds must be finite, got {seconds}")
    return Samples(math.floor(seconds * rate_hz + 0.5))


def milliseconds_to_samples(milliseconds: float, rate_hz: int) -> Samples:
    """Return `seconds_to_samples` of a time in milliseconds."""
    return seconds_to_samples(milliseconds / 1000.0, rate_hz)


def samples_to_seconds(samples: int, rate_hz: int) -> Seconds:
    """Return the time of a sample in seconds."""
    if rate_hz <= 0:
        raise ValueError(f"rate_hz must be positive, got {rate_hz}")
    return Seconds(samples / rate_hz)

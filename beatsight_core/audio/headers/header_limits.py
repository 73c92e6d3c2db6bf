"""What audio can be: the limits that every header is held to, before anything is decoded by what it says.

The inventory, the export and the classification of files and of arrays ask here and nowhere else.
"""

from dataclasses import dataclass

from beatsight_core.errors import AudioError
from beatsight_core.units import GREATEST_RATE_HZ, LEAST_RATE_HZ

MOST_CHANNELS = 256
"""The largest desks and ambisonic orders stay below."""

MOST_BITS = 64
"""Bits of one sample."""

GREATEST_SAMPLE = 1000.0
"""Times full scale. Floats below are clipped. From here on they are no sound that is too loud, but something else that
was read as floats: above all 16-bit numbers that were not divided."""

MAX_FRAMES = 1 << 40
"""More frames than this in a header mean that the length is not known (a FLAC that was streamed says so)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The format of samples, as a header states it.

    Attributes:
        rate_hz: Samples per second and channel; a fraction where the container has room for one.
        channels: Number of channels.
        bits: Bits of a sample; None where the header has none, or where it says nothing (compressed formats).
        kind: Name of the container, and its code for the sample format.
    """

    rate_hz: float
    channels: int
    bits: int | None
    kind: str

    @property
    def text(self) -> str:
        """All of it, for a message."""
        parts = [self.kind, _counted(self.channels, "channel"), f"{_number(self.rate_hz)} Hz"]
        return ", ".join(parts if self.bits is None else [*parts, _counted(self.bits, "bit")])

    @property
    def refusal(self) -> str | None:
        """Return why no audio has such a header, with the value that is wrong; None if it may be audio."""
        if not LEAST_RATE_HZ <= self.rate_hz <= GREATEST_RATE_HZ:
            limits = f"{LEAST_RATE_HZ:,} to {GREATEST_RATE_HZ:,} Hz"
            return f"a sample rate of {_number(self.rate_hz)} Hz is none of audio ({limits})"
        if not 1 <= self.channels <= MOST_CHANNELS:
            return f"{_counted(self.channels, 'channel')} are none of audio (1 to {MOST_CHANNELS})"
        if self.bits is not None and not 1 <= self.bits <= MOST_BITS:
            return f"samples of {_counted(self.bits, 'bit')} are none of audio (1 to {MOST_BITS} bits)"
        return None


def require_rate(rate_hz: float) -> None:
    """Refuse a sample rate, given by a program, that lies outside the limits of audio.

    Raises:
        AudioError: The rate is not one that audio can have.
    """
    if refusal := Facts(rate_hz, 1, None, "").refusal:
        raise AudioError(refusal[0].upper() + refusal[1:], do="give samples per second, as 44100")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _number(value: float) -> str:
    """A rate as a person reads it: whole numbers without a point."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,}"

"""The one slicer: every clip of the project, in export, features' callers and classification, is cut here.

Conventions: a clip is a window around an onset; its sample `window.pre` is the onset's sample, always. Audio is padded
with zeros on both sides once, so that a clip near the start or the end is as long and as aligned as any other.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from beatsight_core.units import milliseconds_to_samples

Sample = TypeVar("Sample", np.int16, np.float32)


@dataclass(frozen=True, slots=True)
class Window:
    """The shape of a clip in samples.

    Attributes:
        rate_hz: Samples per second.
        pre: Samples before the onset.
        tail: Samples from the onset on.
    """

    rate_hz: int
    pre: int
    tail: int

    @classmethod
    def of(cls, rate_hz: int, pre_ms: float, tail_ms: float) -> "Window":
        """The window of times in milliseconds at a rate."""
        return cls(rate_hz, milliseconds_to_samples(pre_ms, rate_hz), milliseconds_to_samples(tail_ms, rate_hz))

    @property
    def frames(self) -> int:
        """Samples of a clip."""
        return self.pre + self.tail

    @property
    def seconds(self) -> float:
        """Length of a clip."""
        return self.frames / self.rate_hz


def onset_samples(onsets_s: NDArray[np.float64], rate_hz: int) -> NDArray[np.int64]:
    """`units.seconds_to_samples` of many onsets.

    Args:
        onsets_s: (n,) seconds, finite.
        rate_hz: Samples per second.

    Returns:
        (n,) sample indices.
    """
    return np.floor(onsets_s * rate_hz + 0.5).astype(np.int64)


def pad(samples: NDArray[Sample], window: Window) -> NDArray[Sample]:
    """The samples with room for a clip around any of their positions.

    Args:
        samples: (n,) mono.
        window: The shape of the clips to come.

    Returns:
        (pre + n + tail,): sample `i` of the input lies at `pre + i`, so the clip of onset `i` starts at `i`.
    """
    padded = np.zeros(window.frames + len(samples), samples.dtype)
    padded[window.pre : window.pre + len(samples)] = samples
    return padded


def clip_views(padded: NDArray[Sample], onsets: NDArray[np.int64], window: Window) -> list[NDArray[Sample]]:
    """The clips of some onsets as views of padded audio: nothing is copied.

    Args:
        padded: What `pad` gave for the same window.
        onsets: (n,) sample indices of the onsets, from 0 to the number of samples.
        window: The shape of a clip.

    Returns:
        n views of `window.frames` samples; sample `window.pre` of each is its onset's.

    Raises:
        ValueError: An onset lies outside the audio.
    """
    last = len(padded) - window.frames
    if len(onsets) and not (onsets.min() >= 0 and onsets.max() <= last):
        raise ValueError(f"onsets must lie in 0..{last}, got {onsets.min()}..{onsets.max()}")
    return [padded[start : start + window.frames] for start in onsets.tolist()]

"""The one slicer: every clip of the project, in export, features' callers and classification, is cut here.

Conventions: a clip is a window around an onset; its sample `window.pre` is the onset's sample, always. Audio is padded
with zeros on both sides once, so that a clip near the start or the end is as long and as aligned as any other.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from beatsight_core.units import milliseconds_to_samples

Sample = TypeVar("Sample", np.int16, np.float32)

Spans = NDArray[np.int64]
"""(n, 2): where each of n stretches of audio begins and ends, in samples."""


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
        """Return the window of times in milliseconds at a rate."""
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
    """Return the sample index of each onset, rounded as `units.seconds_to_samples` rounds one.

    Args:
        onsets_s: Array (n,) of onsets in seconds, finite.
        rate_hz: Samples per second.

    Returns:
        (n,) sample indices.
    """
    return np.floor(onsets_s * rate_hz + 0.5).astype(np.int64)


def reach(tail: NDArray[np.int64] | int, rate_hz: int, file_rate_hz: NDArray[np.int64] | int) -> Any:
    """Return how far clips reach into a file from their onsets on, in the file's own samples, rounded up.

    Args:
        tail: Samples of the clips from the onset on.
        rate_hz: Rate of the clips.
        file_rate_hz: Rate of the file.

    Returns:
        Whole numbers: an onset at `place` needs the file's samples below `place` plus this.
    """
    return -(-tail * file_rate_hz // rate_hz)


def pad(samples: NDArray[Sample], window: Window) -> NDArray[Sample]:
    """Return the samples with room for a clip around any of their positions.

    Args:
        samples: Array (n,) of mono samples.
        window: Shape of the clips to come.

    Returns:
        (pre + n + tail,): sample `i` of the input lies at `pre + i`, so the clip of onset `i` starts at `i`.
    """
    padded = np.zeros(window.frames + len(samples), samples.dtype)
    padded[window.pre : window.pre + len(samples)] = samples
    return padded


def clip_spans(onsets: NDArray[np.int64], pre: NDArray[np.int64] | int, tail: NDArray[np.int64] | int) -> Spans:
    """Return where clips lie in their file.

    Args:
        onsets: Array (n,) of the onsets' sample indices.
        pre: Samples before each onset, or before all.
        tail: Samples from each onset on, or from all.

    Returns:
        (n, 2): may begin before the file does, and end after it.
    """
    return np.stack((onsets - pre, onsets + tail), axis=1)


def views(samples: NDArray[Sample], spans: Spans) -> list[NDArray[Sample]]:
    """Return stretches of audio as views: nothing is copied.

    Raises:
        ValueError: One lies outside the audio.
    """
    if len(spans) and not (spans[:, 0].min() >= 0 and spans[:, 1].max() <= len(samples)):
        raise ValueError(f"spans must lie in 0..{len(samples)}, got {spans[:, 0].min()}..{spans[:, 1].max()}")
    return [samples[begin:end] for begin, end in spans.tolist()]


def clip_views(padded: NDArray[Sample], onsets: NDArray[np.int64], window: Window) -> list[NDArray[Sample]]:
    """Return the clips of some onsets as views of padded audio: nothing is copied.

    Args:
        padded: Padded audio from `pad` for the same window.
        onsets: Array (n,) of the onsets' sample indices, from 0 to the number of samples.
        window: Shape of a clip.

    Returns:
        n views of `window.frames` samples; sample `window.pre` of each is its onset's.

    Raises:
        ValueError: An onset lies outside the audio.
    """
    last = len(padded) - window.frames
    if len(onsets) and not (onsets.min() >= 0 and onsets.max() <= last):
        raise ValueError(f"onsets must lie in 0..{last}, got {onsets.min()}..{onsets.max()}")
    return views(padded, clip_spans(onsets, window.pre, window.tail) + window.pre)


def clip_matrix(padded: NDArray[Sample], onsets: NDArray[np.int64], window: Window) -> NDArray[Sample]:
    """Return `clip_views` copied into one array (n, window.frames), without a step per clip."""
    last = len(padded) - window.frames
    if len(onsets) and not (onsets.min() >= 0 and onsets.max() <= last):
        raise ValueError(f"onsets must lie in 0..{last}, got {onsets.min()}..{onsets.max()}")
    every: NDArray[Sample] = np.lib.stride_tricks.sliding_window_view(padded, window.frames)
    return every[onsets]


def fitted(clips: NDArray[Sample], onset: int, window: Window) -> NDArray[Sample]:
    """Return clips that were cut elsewhere in the shape of a window: cut and padded so that onsets lie where they must.

    Args:
        clips: Array (n, samples) at the window's rate.
        onset: Index of the onset in each clip, from 0 to the number of samples.
        window: Shape of the result.

    Returns:
        (n, window.frames).

    Raises:
        ValueError: The onset lies outside the clips.
    """
    length = clips.shape[1]
    if not 0 <= onset <= length:
        raise ValueError(f"the onset must lie in 0..{length}, got {onset}")
    begin, end = max(0, onset - window.pre), min(length, onset + window.tail)
    result = np.zeros((len(clips), window.frames), clips.dtype)
    result[:, begin - onset + window.pre : end - onset + window.pre] = clips[:, begin:end]
    return result

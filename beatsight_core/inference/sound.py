"""Arrays of a program as the platform's recordings and clips: mono, at the spec's rate, 16 bit as in a dataset.

An array gives what a file of the same samples gives, and what training heard of it: floats beyond full scale are
clipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beatsight_core.audio.decoding.frames import Frames, mean_of_channels, one_channel
from beatsight_core.audio.decoding.resample import Samples16, SamplesFloat, resample, to_float32, to_pcm16
from beatsight_core.audio.headers.header_limits import GREATEST_SAMPLE, require_rate
from beatsight_core.audio.slicing import Window, clip_matrix, fitted, pad
from beatsight_core.errors import AudioError, UsageError
from beatsight_core.units import seconds_to_samples

FEWEST_FRAMES = 64
"""An array with more columns than this, and fewer rows, was turned round."""


@dataclass(frozen=True, eq=False)
class OnsetClips:
    """The clips around onsets of a recording, cut when they are asked for.

    Attributes:
        places: Array (m,) of the sample of each onset.
        window: Shape of a clip.
    """

    places: NDArray[np.int64]
    window: Window
    _padded: NDArray[np.int16] = field(repr=False)

    @classmethod
    def of(cls, samples: NDArray[np.int16], places: NDArray[np.int64], window: Window) -> "OnsetClips":
        """Return the clips of mono samples at the window's rate."""
        return cls(places, window, pad(samples, window))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, part: slice) -> NDArray[np.int16]:
        """Return the samples (m, samples) of a part."""
        return clip_matrix(self._padded, self.places[part], self.window)


def as_recording(samples: ArrayLike, rate_hz: int, to_hz: int, channel: str = "mix") -> NDArray[np.int16]:
    """Return a recording in mono at another rate.

    Args:
        samples: Array (n,), or (n, channels) as soundfile gives them: floats, int16 or int32.
        rate_hz: Rate of the samples.
        to_hz: Rate of the result.
        channel: Source of the mono signal, one of `settings.CHANNELS`.

    Raises:
        AudioError: Samples are not finite, or of another shape or kind, or no audio has such a rate.
    """
    return _at_rate(_mono(samples, "the recording", channel), rate_hz, to_hz)


def as_clips(
    clips: Sequence[ArrayLike] | NDArray[Any], rate_hz: int, window: Window, onset_s: float
) -> NDArray[np.int16]:
    """Return clips in the shape of a window, each with its onset where the window has it.

    Args:
        clips: List of arrays (n,) or (n, channels), or one array (clips, n) or (clips, n, channels).
        rate_hz: Rate of the clips.
        window: Shape of the result: what lies outside is left out, what is missing is silence.
        onset_s: Position of the onset in each clip, in seconds from its start.

    Returns:
        (clips, window.frames).

    Raises:
        AudioError: Samples are not finite, or of another shape or kind, or no audio has such a rate.
        UsageError: The onset does not lie within a clip.
    """
    if not (np.isfinite(onset_s) and onset_s >= 0):
        raise UsageError(f"onset_s is {onset_s}", do="give the seconds from a clip's start to its onset")
    onset = int(seconds_to_samples(onset_s, window.rate_hz))
    if not len(clips):
        return np.zeros((0, window.frames), dtype=np.int16)
    if isinstance(clips, np.ndarray):
        return _fitted(_at_rate(_mono_clips(clips).T, rate_hz, window.rate_hz).T, onset, window, "each clip")
    named = [(f"clip {number}", clip) for number, clip in enumerate(clips)]
    rows = [
        _fitted(_at_rate(_mono(clip, name), rate_hz, window.rate_hz)[None], onset, window, name) for name, clip in named
    ]
    return np.concatenate(rows)


def _mono(samples: ArrayLike, name: str, channel: str = "mix") -> Samples16 | SamplesFloat:
    """(n,) of (n,) or (n, channels)."""
    array = np.asarray(samples)
    if array.ndim not in (1, 2):
        raise AudioError(f"The shape of {name} is {array.shape}", do="give (samples,) or (samples, channels)")
    if array.ndim == 2 and array.shape[1] > max(FEWEST_FRAMES, array.shape[0]):
        raise AudioError(
            f"By its shape {array.shape}, {name} has {array.shape[1]} channels of {array.shape[0]} samples",
            why="(channels, samples) was given where (samples, channels) is meant",
            do="turn it round: samples.T",
        )
    return one_channel(_numbers(array, name), channel)


def _mono_clips(clips: NDArray[Any]) -> SamplesFloat:
    """(clips, n) of (clips, n) or (clips, n, channels)."""
    if clips.ndim == 1 or (clips.ndim == 2 and clips.shape[1] <= FEWEST_FRAMES < clips.shape[0]):
        raise AudioError(
            f"An array of shape {clips.shape} holds no clips",
            why="it looks like a single one",
            do="put it into a list: [clip]",
        )
    if clips.ndim not in (2, 3):
        raise AudioError(f"The shape of the clips is {clips.shape}", do="give (clips, samples[, channels]), or a list")
    numbers = _numbers(clips, "the clips")
    if numbers.ndim == 2:
        return to_float32(numbers)
    flat: Frames = numbers.reshape(-1, numbers.shape[2])
    mono: SamplesFloat = to_float32(mean_of_channels(flat)).reshape(numbers.shape[:2])
    return mono


def _numbers(array: NDArray[Any], name: str) -> Frames:
    """What a decoder would give of these samples, in the shape given: int16 of one or two channels, else float32."""
    if array.dtype == np.int16:
        few = array.ndim == 1 or array.shape[-1] <= 2
        return array if few else to_float32(array)
    if array.dtype == np.int32:
        return array.astype(np.float32) * np.float32(-1.0 / np.iinfo(np.int32).min)
    if array.dtype.kind != "f":
        raise AudioError(f"Samples of type {array.dtype} were given for {name}", do="give floats, int16 or int32")
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        first = tuple(int(place) for place in np.argwhere(~np.isfinite(array))[0])
        raise AudioError(
            f"{bad} of {array.size} samples of {name} are not numbers, the first at {first}",
            do="look at what made them: NaN and infinity are no sound",
        )
    if (peak := float(np.abs(array).max(initial=0.0))) >= GREATEST_SAMPLE:
        raise AudioError(
            f"Samples of {name} reach {peak:,.0f} times full scale",
            why="16-bit numbers seem to have been made floats without being divided",
            do="divide them by 32768, or give them as int16",
        )
    return array.astype(np.float32)


def _at_rate(samples: Samples16 | SamplesFloat, rate_hz: int, to_hz: int) -> NDArray[np.int16]:
    """(m, ...) of (n, ...): resampled along the first axis."""
    require_rate(rate_hz)
    if rate_hz == to_hz or not len(samples):
        return to_pcm16(samples)
    return to_pcm16(resample(to_float32(samples), rate_hz, to_hz))


def _fitted(clips: NDArray[np.int16], onset: int, window: Window, name: str) -> NDArray[np.int16]:
    length = clips.shape[1]
    if onset > length:
        raise UsageError(
            f"The onset would lie {onset / window.rate_hz:.3f} s into {name}, after its end at "
            f"{length / window.rate_hz:.3f} s",
            do="give onset_s, the seconds from a clip's start to its onset",
        )
    return fitted(clips, onset, window)

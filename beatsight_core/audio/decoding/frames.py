"""The frames of an opened file as a decoder gives them, and mono: the mean of the channels, or one of them."""

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from beatsight_core.audio.decoding.opened_file import UnusableAudioError, decoding
from beatsight_core.audio.decoding.resample import Samples16, SamplesFloat
from beatsight_core.audio.headers.header import Opened, open_audio
from beatsight_core.audio.headers.header_limits import GREATEST_SAMPLE

BLOCK_FRAMES = 1 << 17
"""Frames decoded at once, where there are few channels."""

_BLOCK_VALUES = 1 << 19
"""Samples of all channels decoded at once."""

_INTEGER_SUBTYPES = ("PCM_16", "PCM_S8", "PCM_U8")

Frames = NDArray[np.int16] | NDArray[np.float32]


class FailedError(UnusableAudioError):
    """A block did not decode."""


def loudest_channel(stream: BinaryIO, where: str) -> int:
    """Return the channel with the greatest root mean square over the whole file; of equal ones the first."""
    with open_audio(stream, where) as opened:
        power = np.zeros(opened.header.channels)
        with contextlib.suppress(FailedError):
            for frames in read_on(opened, None):
                power += _powers(frames)
    return int(np.argmax(power))


def one_channel(frames: Frames, channel: str) -> Samples16 | SamplesFloat:
    """Return mono of frames (n,) or (n, channels) that are a whole recording."""
    if frames.ndim == 1 or channel == "mix":
        return to_mono(frames, None)
    if channel == "loudest":
        return to_mono(frames, int(np.argmax(_powers(frames))))
    return to_mono(frames, min(0 if channel == "left" else 1, frames.shape[1] - 1))


def sounds_in_a_channel(stream: BinaryIO, where: str, spans: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether any channel has a sample other than zero in some stretches of a file.

    Args:
        stream: The file.
        where: Name of the file in errors.
        spans: Array (n, 2) of stretches in the file's own frames.

    Returns:
        (n,).
    """
    counts, place = np.zeros(len(spans), np.int64), 0
    with open_audio(stream, where) as opened, contextlib.suppress(FailedError):
        if opened.header.channels > 1:
            for frames in read_on(opened, None):
                summed = np.concatenate(([0], np.cumsum(frames.any(axis=1))))
                inside = np.clip(spans - place, 0, len(frames))
                counts += summed[inside[:, 1]] - summed[inside[:, 0]]
                place += len(frames)
    return counts > 0


def _powers(frames: Frames) -> NDArray[np.float64]:
    """(channels,) sums of squares; such of 16-bit samples are exact, so nothing depends on the order of summation."""
    powers: NDArray[np.float64] = np.einsum("ij,ij->j", frames, frames, dtype=np.float64, casting="safe")
    return powers


def picked_channel(stream: BinaryIO | None, opened: Opened, channel: str) -> int | None:
    """Return the channel that is taken; None for the mean of all.

    Args:
        stream: The file; None where "loudest" is not asked for, which takes the whole of it to know.
        opened: The same file, opened for decoding.
        channel: Name of the channel, one of `settings.CHANNELS`.
    """
    if channel == "mix" or opened.header.channels == 1:
        return None
    if channel == "loudest":
        return None if stream is None else loudest_channel(stream, opened.source.where)
    return 0 if channel == "left" else 1


def read_on(opened: Opened, pick: int | None) -> Iterator[Frames]:
    """Yield block after block, to the end of the file."""
    count = block_frames(opened)
    while len(frames := read_frames(opened, count, pick)):
        yield frames
        if len(frames) < count and opened.header.is_counted:
            return


def read_frames(opened: Opened, count: int, pick: int | None) -> Frames:
    """Return the next frames, (n,) or (n, channels); fewer than `count` only at the end."""
    channels = opened.header.channels
    is_whole = opened.header.subtype in _INTEGER_SUBTYPES and (channels <= 2 or pick is not None)
    room: Any = np.empty(count if channels == 1 else (count, channels), np.int16 if is_whole else np.float32)
    try:
        with decoding(opened.source):
            frames: Frames = opened.file.read(out=room)
    except UnusableAudioError as error:
        raise FailedError(error.what, where=error.where, why=error.why, do=error.do) from error
    return frames


def block_frames(opened: Opened) -> int:
    """Return how many frames of a file are decoded at once."""
    count = min(BLOCK_FRAMES, max(_BLOCK_VALUES // opened.header.channels, 1))
    return count if opened.header.frames is None else min(count, opened.header.frames + 1)


def to_mono(frames: Frames, pick: int | None) -> Samples16 | SamplesFloat:
    """Return mono (n,) of frames (n,) or (n, channels)."""
    if frames.ndim == 1:
        return frames
    if pick is None and frames.shape[1] > 1:
        return mean_of_channels(frames)
    return frames[:, pick or 0].copy()


def are_samples(mono: Samples16 | SamplesFloat) -> bool:
    """Return whether all values are numbers that a sound can have."""
    if mono.dtype == np.int16 or not len(mono):
        return True
    return bool(mono.max() < GREATEST_SAMPLE and mono.min() > -GREATEST_SAMPLE)  # NaN is neither


def mean_of_channels(frames: Frames) -> Samples16 | SamplesFloat:
    """Return the mean over the channels of (n, channels), in the type that they have."""
    if frames.dtype == np.int16:
        total: NDArray[np.int32] = np.add(frames[:, 0], frames[:, 1], dtype=np.int32)
        total += (total >> 1) & 1  # half to even, as np.rint would
        total >>= 1
        halved: Samples16 = total.astype(np.int16)
        return halved
    mean: SamplesFloat = frames[:, 0].astype(np.float32)
    with np.errstate(all="ignore"):  # what is no number is found in the mean
        for channel in range(1, frames.shape[1]):  # many times faster than a sum along the short axis
            mean += frames[:, channel]
        mean *= np.float32(1.0 / frames.shape[1])
    return mean

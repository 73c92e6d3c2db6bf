"""Decoding only what clips need of a long file that is hardly used: seek, decode a little, seek on.

Whether that is worth it depends on the file's header and the clips alone, never on what this machine happens to
remember: the same file and hits are always cut in the same way. Only containers in which a seek is exact to the sample
take part, and only files at the rate that is wanted: a resampled part is not, to the last bit, a part of the resampled
whole. For the others, and for a file that breaks on the way, there is the whole decoding.
"""

import os
from typing import BinaryIO

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from beatsight_core.audio.decode import mono_frames
from beatsight_core.audio.header import MAX_FRAMES, declared_frames, reaches_its_end
from beatsight_core.audio.resample import to_pcm16
from beatsight_core.audio.slicing import Spans

LEAST_BYTES = 16 << 20
"""A smaller file is read and decoded whole in a moment."""

SEEK_FRAMES = 1 << 16
"""What finding a place costs, in frames decoded: a FLAC decoder looks at several of its blocks."""

GAIN = 2
"""How many times cheaper than decoding all of it seeking has to be."""

_EXACT_FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "FLAC")
_EXACT_SUBTYPES = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")

Ranges = NDArray[np.int64]


def needed_ranges(spans: Spans) -> Spans:
    """The ranges of a file that hold some clips, merged where they touch or lie closer than a seek is worth.

    Args:
        spans: (n, 2) of the clips, in the file's frames; they may begin before 0 and go on after the end.

    Returns:
        (m, 2) ranges, ascending and apart.
    """
    if not len(spans):
        return spans
    ordered = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ordered[:, 1])
    begins = np.flatnonzero(np.append(True, ordered[1:, 0] > reach[:-1] + SEEK_FRAMES))
    lasts = np.append(begins[1:], len(ordered)) - 1
    return np.stack((ordered[begins, 0], reach[lasts]), axis=1)


def worth_seeking(ranges: Spans, frames: int) -> bool:
    """The one rule of cost: frames to decode, and a price per seek, against all frames of the file."""
    cost = int((ranges[:, 1] - ranges[:, 0]).sum()) + SEEK_FRAMES * len(ranges)
    return GAIN * cost <= frames


def exact_frames(stream: BinaryIO, rate_hz: int) -> int | None:
    """How many frames a file has, if parts of it may be decoded in place of the whole; None if not."""
    if stream.seek(0, os.SEEK_END) < LEAST_BYTES:
        return None
    declared = declared_frames(stream)
    stream.seek(0)
    try:
        with sf.SoundFile(stream) as file:
            exact = file.format in _EXACT_FORMATS and file.subtype in _EXACT_SUBTYPES and file.samplerate == rate_hz
            frames = file.frames
    except sf.LibsndfileError:
        return None
    whole = 0 < frames < MAX_FRAMES and frames == (declared or frames)
    return frames if exact and whole and reaches_its_end(stream) else None


def decode_ranges(stream: BinaryIO, ranges: Spans) -> NDArray[np.int16] | None:
    """Some ranges of a file, one after the other, in mono, with zeros where a range is outside the file.

    Args:
        stream: The file, for which `exact_frames` gave a number.
        ranges: What `needed_ranges` gave.

    Returns:
        (sum of their lengths,) int16, equal to the same ranges of the whole; None if one does not decode.
    """
    samples = np.zeros(int((ranges[:, 1] - ranges[:, 0]).sum()), np.int16)
    place = 0
    stream.seek(0)
    try:
        with sf.SoundFile(stream) as file:
            for begin, end in ranges.tolist():
                first, last = max(begin, 0), min(end, file.frames)
                file.seek(first)
                part = mono_frames(file, last - first)
                if part is None:
                    return None
                samples[place + first - begin : place + last - begin] = to_pcm16(part)
                place += end - begin
    except sf.LibsndfileError:
        return None
    return samples


def spans_within(spans: Spans, ranges: Spans) -> Spans:
    """Where clips lie in what `decode_ranges` gave."""
    lengths = ranges[:, 1] - ranges[:, 0]
    moves = np.cumsum(lengths) - lengths - ranges[:, 0]
    moved: Spans = spans + moves[np.searchsorted(ranges[:, 0], spans[:, 0], side="right") - 1, None]
    return moved

"""Decoding only what clips need of a long file that is hardly used: seek, decode a little, seek on.

Whether that is worth it depends on the file's header and the clips alone, never on what this machine happens to
remember: the same file and hits are always cut in the same way. Only containers in which a seek is exact to the sample
take part, and only files at the rate that is wanted: a resampled part is not, to the last bit, a part of the resampled
whole. For the others, and for a file that breaks on the way, there is the whole decoding.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from beatsight_core.audio.decoding.frames import BLOCK_FRAMES, are_samples, picked_channel, read_frames, to_mono
from beatsight_core.audio.decoding.opened_file import UnusableAudioError, decoding
from beatsight_core.audio.decoding.resample import Samples16, to_pcm16
from beatsight_core.audio.headers.header import open_audio, reaches_its_end
from beatsight_core.audio.slicing import Spans

LEAST_BYTES = 16 << 20
"""A smaller file is read and decoded whole in a moment."""

SEEK_FRAMES = 1 << 16
"""What finding a place costs, in frames decoded: a FLAC decoder looks at several of its blocks."""

GAIN = 2
"""How many times cheaper than decoding all of it seeking has to be."""

_EXACT_FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "FLAC")
_EXACT_SUBTYPES = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")


def needed_ranges(spans: Spans) -> Spans:
    """Return the ranges of a file that hold some clips, merged where they touch or lie closer than a seek is worth.

    Args:
        spans: Array (n, 2) of the clips, in the file's frames; clips may begin before 0 and go on after the end.

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
    """Return whether seeking is cheaper than decoding the whole file.

    Cost is frames to decode plus a price per seek.
    """
    cost = int((ranges[:, 1] - ranges[:, 0]).sum()) + SEEK_FRAMES * len(ranges)
    return GAIN * cost <= frames


def exact_frames(stream: BinaryIO, rate_hz: int, where: str) -> int | None:
    """Return how many frames a file has if parts of it may be decoded in place of the whole, else None.

    Args:
        stream: The file.
        rate_hz: Rate of the clips.
        where: Name of the file in errors.

    Raises:
        OSError: The drive failed.
    """
    if stream.seek(0, os.SEEK_END) < LEAST_BYTES:
        return None
    try:
        with open_audio(stream, where) as opened:
            header, is_whole = opened.header, reaches_its_end(opened)
    except UnusableAudioError:
        return None
    exact = header.format in _EXACT_FORMATS and header.subtype in _EXACT_SUBTYPES and header.rate_hz == rate_hz
    return header.frames if exact and is_whole and header.frames == header.declared_frames else None


def decode_ranges(stream: BinaryIO, where: str, ranges: Spans, channel: str = "mix") -> Iterator[tuple[int, Samples16]]:
    """Decode some ranges of a file to mono, in blocks.

    Args:
        stream: The file, for which `exact_frames` gave a number.
        where: Name of the file in errors.
        ranges: Ranges from `needed_ranges`.
        channel: Source of the mono signal: "mix", "left" or "right"; "loudest" would take the whole file to know.

    Yields:
        (place of the first sample, samples): what lies in the ranges and in the file, equal to the same of the whole.

    Raises:
        UnusableAudioError: A part does not decode, or holds samples that are not numbers.
        OSError: The drive failed.
    """
    with open_audio(stream, where) as opened:
        pick, last = picked_channel(None, opened, channel), opened.header.frames or 0
        for begin, end in np.clip(ranges, 0, last).tolist():
            with decoding(opened.source):
                opened.file.seek(begin)
            for place in range(begin, end, BLOCK_FRAMES):
                count = min(BLOCK_FRAMES, end - place)
                mono = to_mono(read_frames(opened, count, pick), pick)
                if len(mono) != count or not are_samples(mono):
                    raise UnusableAudioError("A part of an audio file does not decode", where=where)
                yield place, to_pcm16(mono)

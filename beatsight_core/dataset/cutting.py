"""One audio file -> its clips: decoded once, or in parts where that is cheaper, and cut by views."""

from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beatsight_core.audio.decode import decode, truncation
from beatsight_core.audio.excerpts import decode_ranges, exact_frames, needed_ranges, spans_within, worth_seeking
from beatsight_core.audio.slicing import Spans, Window, clip_spans, onset_samples, pad, views
from beatsight_core.dataset.schema import ClipSpec
from beatsight_core.dataset.unit_audio import SourceFile
from beatsight_core.errors import AudioError
from beatsight_core.units import samples_to_seconds

Clip = NDArray[np.int16]

_SPARSE = 64
"""A clip that sounds shows it in every so many samples, and the others need not be looked at."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Hits of a file that get no clip, and why."""

    reason: str
    rows: pa.Table
    message: str


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of a file's hits.

    Attributes:
        rows: Those that got a clip.
        clips: Their clips, views of the file's audio.
        pre: (n,) samples of each clip before its onset.
        lost: The others.
    """

    rows: pa.Table
    clips: list[Clip] = field(default_factory=list)
    pre: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    lost: tuple[Loss, ...] = ()


def takes_parts(stream: BinaryIO, rows: pa.Table, spec: ClipSpec) -> bool:
    """Whether a file is to be decoded in parts for its hits: says the same wherever and whenever it is asked."""
    frames = exact_frames(stream, spec.window.rate_hz)
    if frames is None:
        return False
    kept = _before_end(rows, frames, spec.window.rate_hz)
    return worth_seeking(needed_ranges(_spans(kept, spec.window.rate_hz, *_sides(kept, spec))), frames)


def cut_file(file: SourceFile, rows: pa.Table, spec: ClipSpec) -> Cut:
    """Cut one file's clips.

    Raises:
        AudioError: The file changed since it was digested, or its drive failed.
    """
    if file.in_parts:
        with file.opened() as stream:
            cut = _cut_parts(stream, rows, spec)
        if cut is not None:
            return cut
    return _cut_whole(file, rows, spec)


def _cut_parts(stream: BinaryIO, rows: pa.Table, spec: ClipSpec) -> Cut | None:
    rate_hz = spec.window.rate_hz
    frames = exact_frames(stream, rate_hz)
    if frames is None:
        return None
    kept = _before_end(rows, frames, rate_hz)
    pre, tail = _sides(kept, spec)
    spans = _spans(kept, rate_hz, pre, tail)
    ranges = needed_ranges(spans)
    samples = decode_ranges(stream, ranges)
    if samples is None:
        return None
    cut = Cut(kept, views(samples, spans_within(spans, ranges)), pre, _past_end(rows, frames, rate_hz))
    return _without_silence(cut)


def _cut_whole(file: SourceFile, rows: pa.Table, spec: ClipSpec) -> Cut:
    none, rate_hz = rows.slice(0, 0), spec.window.rate_hz
    data = file.data()
    try:
        decoded = decode(data, file.job.audio_path)
    except AudioError as error:
        return Cut(none, lost=(Loss("unreadable_audio", rows, error.why or error.what),))
    if decoded.is_truncated:
        # Labels at wrong places are worse than none: what comes after a break may have moved.
        why = truncation(decoded.declared_frames, decoded.frames)
        return Cut(none, lost=(Loss("truncated_audio", rows, why),))
    kept = _before_end(rows, decoded.frames, decoded.rate_hz)
    pre, tail = _sides(kept, spec)
    room = Window(rate_hz, int(pre.max(initial=0)), int(tail.max(initial=0)))
    clips = views(pad(decoded.at_rate(rate_hz), room), _spans(kept, rate_hz, pre, tail) + room.pre)
    return _without_silence(Cut(kept, clips, pre, _past_end(rows, decoded.frames, decoded.rate_hz)))


def _without_silence(cut: Cut) -> Cut:
    """Take out clips in which nothing at all sounds, though their labels say that something was struck.

    A muted track or an empty stem would teach that silence is a drum. A hit without labels may be silent.
    """
    mute = np.array([not (clip[::_SPARSE].any() or clip.any()) for clip in cut.clips], np.bool_)
    if not mute.any():
        return cut
    mute &= pc.list_value_length(cut.rows["labels"]).to_numpy() > 0
    if not mute.any():
        return cut
    silent = Loss("silent_audio", cut.rows.filter(pa.array(mute)), "every sample of the clip is zero")
    clips = [clip for clip, is_mute in zip(cut.clips, mute, strict=True) if not is_mute]
    return Cut(cut.rows.filter(pa.array(~mute)), clips, cut.pre[~mute], (*cut.lost, silent))


def _spans(rows: pa.Table, rate_hz: int, pre: NDArray[Any], tail: NDArray[Any]) -> Spans:
    return clip_spans(onset_samples(rows["onset_time"].to_numpy(), rate_hz), pre, tail)


def _sides(rows: pa.Table, spec: ClipSpec) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Samples before and from the onset on, of each row."""
    if not spec.fixed_length:
        return rows["pre_frames"].to_numpy(), rows["tail_frames"].to_numpy()
    count, window = rows.num_rows, spec.window
    return np.full(count, window.pre, np.int32), np.full(count, window.tail, np.int32)


def _inside(rows: pa.Table, frames: int, rate_hz: int) -> NDArray[np.bool_]:
    """Which onsets lie in the file, counted in the file's own samples."""
    return onset_samples(rows["onset_time"].to_numpy(), rate_hz) < frames


def _before_end(rows: pa.Table, frames: int, rate_hz: int) -> pa.Table:
    inside = _inside(rows, frames, rate_hz)
    return rows if inside.all() else rows.filter(pa.array(inside))


def _past_end(rows: pa.Table, frames: int, rate_hz: int) -> tuple[Loss, ...]:
    outside = ~_inside(rows, frames, rate_hz)
    why = f"the file ends at {samples_to_seconds(frames, rate_hz):.6f} s"
    return (Loss("past_end", rows.filter(pa.array(outside)), why),) if outside.any() else ()

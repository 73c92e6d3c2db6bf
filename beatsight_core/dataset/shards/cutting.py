"""One audio file -> its clips: decoded block by block, or in parts where that is cheaper, and cut by views.

A file of any length takes no more memory than the clips that are cut from it at a time. What is wrong with it may show
only after some of its clips were given: `SecondThoughtError` then asks for the file once more, with what is known now.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beatsight_core.audio.decoding.decode import MonoBlocks, open_blocks
from beatsight_core.audio.decoding.ending import Ending
from beatsight_core.audio.decoding.excerpts import decode_ranges, exact_frames, needed_ranges, worth_seeking
from beatsight_core.audio.decoding.frames import sounds_in_a_channel
from beatsight_core.audio.decoding.opened_file import UnusableAudioError
from beatsight_core.audio.decoding.polarity import CANCELLED
from beatsight_core.audio.decoding.resample import Resampler, Samples16
from beatsight_core.audio.slicing import Spans, clip_spans, onset_samples, reach
from beatsight_core.dataset.shards.reel import Reel
from beatsight_core.dataset.shards.shard_schema import ClipSpec
from beatsight_core.dataset.shards.unit_audio import SourceFile
from beatsight_core.units import samples_to_seconds

Clip = NDArray[np.int16]

_SPARSE = 64
"""A clip that sounds shows it in every so many samples, and the others need not be looked at."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Hits of a file that get no clip, with the reason."""

    reason: str
    rows: pa.Table
    message: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Some hits of a file, and what became of them.

    Attributes:
        rows: Hits that got a clip.
        clips: Clips of these hits, views of the file's audio.
        pre: Array (n,) of the samples of each clip before its onset.
        lost: Losses of the other hits; all losses of a file come with its last hits.
        is_judged: True if rules decided which part of the file can be used: it is not what its header says, or hits of
            it are lost that lie before its end.
    """

    rows: pa.Table
    clips: list[Clip] = field(default_factory=list)
    pre: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    lost: tuple[Loss, ...] = ()
    is_judged: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """The findings of an earlier try at a file.

    Attributes:
        in_parts: True if the file can be decoded in parts.
        ending: End of the file, if something is missing.
        fault: Reason why it cannot be used at all.
    """

    in_parts: bool
    ending: Ending | None = None
    fault: str | None = None


class SecondThoughtError(Exception):
    """An error that asks for a file to be cut once more.

    Clips were given that should not be, or the reading ended too early.

    Attributes:
        known: Findings to use when the file is cut once more.
    """

    def __init__(self, known: Known):
        super().__init__(known)
        self.known = known


def takes_parts(stream: BinaryIO, where: str, rows: pa.Table, spec: ClipSpec) -> bool:
    """Return whether a file is to be decoded in parts for its hits.

    The answer is the same wherever and whenever it is asked.
    """
    if spec.channel == "loudest":
        return False
    frames = exact_frames(stream, spec.window.rate_hz, where)
    if frames is None:
        return False
    shape = _Shape.of(rows, spec)
    kept = onset_samples(shape.onsets_s, spec.window.rate_hz) < frames
    return worth_seeking(needed_ranges(shape.spans[kept]), frames)


def cut_file(file: SourceFile, rows: pa.Table, spec: ClipSpec, known: Known | None = None) -> Iterator[Cut]:
    """Cut one file's clips, in the order of its hits.

    Args:
        file: File to cut.
        rows: Hits of the file.
        spec: Shape of the clips.
        known: Findings of an earlier try.

    Raises:
        SecondThoughtError: The clips given so far do not count; cut the file once more.
        AudioError: The file changed since it was digested, or its drive failed.
    """
    known = known or Known(file.in_parts)
    if known.fault is not None:
        yield _refused(rows, known.fault)
        return
    with file.opened() as stream:
        yield from _Cutting(stream, file.job.audio_path, rows, spec, known).cuts()


def _refused(rows: pa.Table, why: str) -> Cut:
    return Cut(rows.slice(0, 0), lost=(Loss("unreadable_audio", rows, why),), is_judged=True)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where the clips of some hits lie, in numbers.

    Attributes:
        onsets_s: (n,) seconds.
        pre: (n,) samples of each clip before its onset.
        tail: (n,) samples from the onset on.
        spans: (n, 2) places at the rate of the clips.
    """

    onsets_s: NDArray[np.float64]
    pre: NDArray[np.int32]
    tail: NDArray[np.int32]
    spans: Spans

    @classmethod
    def of(cls, rows: pa.Table, spec: ClipSpec) -> "_Shape":
        onsets_s, window = rows["onset_time"].to_numpy(), spec.window
        if spec.fixed_length:
            pre, tail = (np.full(rows.num_rows, side, np.int32) for side in (window.pre, window.tail))
        else:
            pre, tail = rows["pre_frames"].to_numpy(), rows["tail_frames"].to_numpy()
        return cls(onsets_s, pre, tail, clip_spans(onset_samples(onsets_s, window.rate_hz), pre, tail))


@dataclass(slots=True)
class _Cutting:
    """The work on one file."""

    stream: BinaryIO
    where: str
    rows: pa.Table
    spec: ClipSpec
    known: Known
    _shape: "_Shape" = field(init=False)
    _mute: list[pa.Table] = field(default_factory=list)
    _given: int = 0

    def __post_init__(self) -> None:
        self._shape = _Shape.of(self.rows, self.spec)

    def cuts(self) -> Iterator[Cut]:
        rows = self.rows
        frames = exact_frames(self.stream, self.spec.window.rate_hz, self.where) if self.known.in_parts else None
        cuts = self._whole() if frames is None else self._parts(frames)
        while True:
            try:
                cut = next(cuts)
            except StopIteration:
                return
            except UnusableAudioError as error:
                known = Known(False) if frames is not None else Known(False, fault=error.why or error.what)
                if self._given or known.fault is None:
                    raise SecondThoughtError(known) from error
                yield _refused(rows, known.fault)
                return
            self._given += len(cut.clips)
            yield cut

    def _parts(self, frames: int) -> Iterator[Cut]:
        """The clips of a file that is what its header says, decoded where they lie."""
        kept = self._kept(Ending(frames), self.spec.window.rate_hz)
        ranges = needed_ranges(self._shape.spans[kept])
        blocks = decode_ranges(self.stream, self.where, ranges, self.spec.channel)
        reel = Reel(self._shape.spans)
        yield from self._as_they_come(reel, blocks)
        yield self._last(reel, Ending(frames), self.spec.window.rate_hz)

    def _whole(self) -> Iterator[Cut]:
        """The clips of a file that is decoded from its start to its end."""
        with open_blocks(self.stream, self.where, self.spec.channel) as blocks:
            rate_hz = blocks.header.rate_hz
            rows, lost = self.rows, self.rows.slice(0, 0)
            if self.known.ending is not None:
                kept = self._kept(self.known.ending, rate_hz)
                self.rows, lost = _those(rows, kept), _those(rows, ~kept)
                self._shape = _Shape.of(self.rows, self.spec)
            reel = Reel(self._shape.spans)
            yield from self._as_they_come(reel, _resampled(blocks, self.spec.window.rate_hz))
            cut = self._last(reel, blocks.ending(), rate_hz)
            yield cut if self.known.ending is None else _with_loss(cut, self.known.ending, lost)

    def _as_they_come(self, reel: Reel, blocks: Iterable[tuple[int, Samples16]]) -> Iterator[Cut]:
        for place, samples in blocks:
            reel.add(place, samples)
            if reel.is_full:
                first = reel.given
                clips = reel.take()
                yield self._sounding(
                    Cut(self.rows.slice(first, len(clips)), clips, self._shape.pre[first : reel.given])
                )

    def _last(self, reel: Reel, ending: Ending, rate_hz: int) -> Cut:
        """The hits that are left at the end, and all that is lost."""
        kept, first = self._kept(ending, rate_hz), reel.given
        if not kept[:first].all():
            raise SecondThoughtError(Known(False, ending))
        clips = reel.finish(kept)
        rows, pre = _those(self.rows.slice(first), kept[first:]), self._shape.pre[first:][kept[first:]]
        cut = self._sounding(Cut(rows, clips, pre, is_judged=not ending.as_written))
        outside = _those(self.rows, ~kept)
        silent = self._silent(rate_hz)
        past = Cut(cut.rows, cut.clips, cut.pre, silent, cut.is_judged or bool(silent))
        if not ending.is_missing:
            ending = replace(ending, why=f"the file ends at {samples_to_seconds(ending.frames, rate_hz):.6f} s")
        return _with_loss(past, ending, outside)

    def _kept(self, ending: Ending, rate_hz: int) -> NDArray[np.bool_]:
        """Which hits get a clip, counted in the file's own samples."""
        places = onset_samples(self._shape.onsets_s, rate_hz)
        if not ending.is_missing:
            return places < ending.frames
        needed: NDArray[np.int64] = reach(self._shape.tail.astype(np.int64), self.spec.window.rate_hz, rate_hz)
        return places + needed <= ending.frames

    def _sounding(self, cut: Cut) -> Cut:
        """Take out clips in which nothing at all sounds, though their labels say that something was played.

        A muted track or an empty stem would teach that silence is a drum. A hit without labels may be silent.
        """
        mute = np.array([not (clip[::_SPARSE].any() or clip.any()) for clip in cut.clips], np.bool_)
        if mute.any():
            mute &= pc.list_value_length(cut.rows["labels"]).to_numpy() > 0
        if not mute.any():
            return cut
        self._mute.append(_those(cut.rows, mute))
        clips = [clip for clip, is_mute in zip(cut.clips, mute, strict=True) if not is_mute]
        return Cut(_those(cut.rows, ~mute), clips, cut.pre[~mute], cut.lost, cut.is_judged)

    def _silent(self, rate_hz: int) -> tuple[Loss, ...]:
        """The hits in whose clips nothing sounds, and those of them of which every single channel is silent, too."""
        if not self._mute:
            return ()
        rows = pa.concat_tables(self._mute)
        cancelled = np.zeros(rows.num_rows, np.bool_)
        if self.spec.channel == "mix":
            spans = _Shape.of(rows, self.spec).spans * rate_hz // self.spec.window.rate_hz
            cancelled = sounds_in_a_channel(self.stream, self.where, spans)
        silent = Loss("silent_audio", _those(rows, ~cancelled), "every sample of the clip is zero")
        opposed = Loss("opposite_polarity", _those(rows, cancelled), CANCELLED)
        return tuple(loss for loss in (silent, opposed) if loss.rows.num_rows)


def _with_loss(cut: Cut, ending: Ending, rows: pa.Table) -> Cut:
    """A cut that also says which hits are lost because the file ends."""
    if not rows.num_rows:
        return cut
    return Cut(cut.rows, cut.clips, cut.pre, (Loss(ending.reason, rows, ending.why), *cut.lost), cut.is_judged)


def _resampled(blocks: MonoBlocks, rate_hz: int) -> Iterator[tuple[int, Samples16]]:
    """(place, samples) at another rate."""
    resampler = Resampler(blocks.header.rate_hz, rate_hz)
    place = 0
    for block in blocks:
        samples = resampler.push(block)
        yield place, samples
        place += len(samples)
    yield place, resampler.finish()


def _those(rows: pa.Table, chosen: NDArray[np.bool_]) -> pa.Table:
    """Some of the rows; all and none of them take no time."""
    if chosen.all():
        return rows
    return rows.filter(pa.array(chosen)) if chosen.any() else rows.slice(0, 0)

"""The stretch of audio that clips are cut from while a file goes by, block by block.

Only what the next clips need is held, however long the file is. A clip is a view of a stretch, so nothing is copied
that does not have to be.
"""

import numpy as np
from numpy.typing import NDArray

from beatsight_core.audio.decoding.resample import Samples16
from beatsight_core.audio.slicing import Spans, views

HELD_SAMPLES = 1 << 22
"""Samples that are held before clips are cut from them."""


class Reel:
    """A cutter of the clips of one file, in the order in which they are given.

    Args:
        spans: Array (n, 2) of positions of the clips, at the rate of the blocks; they may begin before 0 and go on
            after the end.
    """

    def __init__(self, spans: Spans):
        self._spans = spans
        self._ends = np.maximum.accumulate(spans[:, 1])
        self._needs = np.minimum.accumulate(spans[::-1, 0])[::-1]
        self._parts: list[Samples16] = []
        self._begin = self._end = 0
        self._ready: list[Samples16] = []
        self._weight = 0
        self.given = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to take the clips that are ready."""
        return self._weight >= HELD_SAMPLES

    def add(self, place: int, samples: Samples16) -> None:
        """Take in a block; one that does not follow the block before it begins a new stretch."""
        if place != self._end:
            self._cut()
            self._parts.clear()
            self._begin = place
        self._parts.append(samples)
        self._end = place + len(samples)
        self._drop()
        if self._end - self._begin >= HELD_SAMPLES:
            self._cut()

    def take(self) -> list[Samples16]:
        """Return the clips that are ready and were not taken yet: the next ones in order."""
        taken, self._ready, self._weight = self._ready, [], 0
        self.given += len(taken)
        return taken

    def finish(self, kept: NDArray[np.bool_]) -> list[Samples16]:
        """Return the clips that are left once all blocks came, with silence where they go on after the end.

        Args:
            kept: Array (n,) that tells which clips are wanted; those that were given before are ignored.
        """
        self._cut()
        ready = self.take()
        first = self.given
        wanted = self._spans[first:][kept[first:]]
        ready = [clip for clip, keep in zip(ready, kept[first - len(ready) : first], strict=True) if keep]
        return ready + self._views(wanted)

    def _cut(self) -> None:
        """Cut all clips of which the last sample has come by."""
        first = self.given + len(self._ready)
        stop = int(np.searchsorted(self._ends, self._end, side="right"))
        if stop > first:
            spans = self._spans[first:stop]
            self._ready += self._views(spans)
            self._weight += int(spans[:, 1].max() - spans[:, 0].min())
            self._drop()

    def _drop(self) -> None:
        """Let go of blocks that no clip needs any more."""
        next_clip = self.given + len(self._ready)
        needed = self._needs[next_clip] if next_clip < len(self._needs) else self._end
        while self._parts and self._begin + len(self._parts[0]) <= needed:
            self._begin += len(self._parts.pop(0))

    def _views(self, spans: Spans) -> list[Samples16]:
        if not len(spans):
            return []
        first, last = int(spans[:, 0].min()), int(spans[:, 1].max())
        return views(self._stretch(first, last), spans - first)

    def _stretch(self, first: int, last: int) -> Samples16:
        """(last - first,): what is held of these places, silence elsewhere."""
        stretch = np.zeros(last - first, np.int16)
        place = self._begin
        for part in self._parts:
            begin, end = max(place, first), min(place + len(part), last)
            if begin < end:
                stretch[begin - first : end - first] = part[begin - place : end - place]
            place += len(part)
        return stretch

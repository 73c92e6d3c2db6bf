"""From the order of lines to the order of files, in memory that does not grow with the manifest.

While chunks are read, what hits need of each is written to a file of its own, ordered by audio file. Afterwards the
audio files are taken in ranges of a bounded number of events: a range is one slice of every chunk.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from beatsight_core.manifest.catalog_counts import dictionary_parts
from beatsight_core.manifest.hits import EVENT_COLUMNS

RANGE_EVENTS = 1 << 17
"""Events taken at a time; an audio file with more is taken alone."""

BATCH_ROWS = 2048
"""Rows that are read at least."""

File = tuple[str, str]
"""Source set and audio path."""


@dataclass(frozen=True)
class Spilled:
    """A chunk that was written.

    Attributes:
        path: Path of the file that it was written to.
        files: Audio files of its events, in order.
        starts: Row at which the events of each audio file begin, and the row after the last.
    """

    path: Path
    files: list[File]
    starts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Slice:
    """Rows of a spilled chunk, save those of `dropped` lines."""

    path: Path
    start: int
    stop: int
    dropped: npt.NDArray[np.int64] | None = None

    def read(self) -> list[pa.RecordBatch]:
        """Return the rows. The file is not mapped, as mapped pages count as memory in use, far beyond what is taken."""
        batches = []
        with pa.OSFile(str(self.path)) as source:
            reader = pa.ipc.open_file(source)
            for number in range(self.start // BATCH_ROWS, -(-self.stop // BATCH_ROWS)):
                begin, batch = number * BATCH_ROWS, reader.get_batch(number)
                start, stop = max(self.start - begin, 0), min(self.stop - begin, batch.num_rows)
                batches.append(self._kept(batch.slice(start, stop - start)))
        return batches

    def _kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self.dropped is None:
            return batch
        return batch.filter(pa.array(~np.isin(batch.column("line").to_numpy(), self.dropped)))


def spill(events: pa.RecordBatch, path: Path) -> Spilled | None:
    """Write the events of a chunk, ordered by audio file; nothing if there are none."""
    if not events.num_rows:
        return None
    files, codes = _files(events)
    order = np.argsort(codes, kind="stable")
    names = ("line", *EVENT_COLUMNS)
    batch = pa.RecordBatch.from_arrays([events.column(name) for name in names], names=names).take(pa.array(order))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_table(pa.Table.from_batches([batch]), max_chunksize=BATCH_ROWS)
    return Spilled(path, files, np.append(0, np.cumsum(np.bincount(codes, minlength=len(files)))))


def ranges(
    files: Sequence[tuple[File, int]],
    chunks: Sequence[Spilled | None],
    dropped: Mapping[int, npt.NDArray[np.int64]],
    most: int | None = None,
) -> Iterator[list[Slice]]:
    """Cut all audio files into ranges, in order.

    Args:
        files: Audio files that have events, in order, each with the number of its events.
        chunks: Spilled chunks, by number of chunk; None for one without events.
        dropped: Number of chunk -> lines in it that are not to be used after all.
        most: Number of events in a range; `RANGE_EVENTS` unless given.
    """
    most = most or RANGE_EVENTS
    first, events = 0, 0
    for place, (_, count) in enumerate(files):
        if events and events + count > most:
            yield _slices(files[first][0], files[place - 1][0], chunks, dropped)
            first, events = place, 0
        events += count
    if files:
        yield _slices(files[first][0], files[-1][0], chunks, dropped)


def _slices(
    first: File, last: File, chunks: Sequence[Spilled | None], dropped: Mapping[int, npt.NDArray[np.int64]]
) -> list[Slice]:
    slices = []
    for number, chunk in enumerate(chunks):
        if chunk is None:
            continue
        start, stop = bisect_left(chunk.files, first), bisect_right(chunk.files, last)
        if start < stop:
            slices.append(Slice(chunk.path, int(chunk.starts[start]), int(chunk.starts[stop]), dropped.get(number)))
    return slices


def _files(events: pa.RecordBatch) -> tuple[list[File], npt.NDArray[np.int64]]:
    """The audio files of a chunk in order, and which one each event lies in."""
    sources, source_names = dictionary_parts(events.column("source_set"))
    paths, path_names = dictionary_parts(events.column("audio_path"))
    pairs, codes = np.unique(sources * len(path_names) + paths, return_inverse=True)
    names = [(source_names[pair // len(path_names)], path_names[pair % len(path_names)]) for pair in pairs.tolist()]
    order = sorted(range(len(names)), key=names.__getitem__)
    ranks = np.empty(len(names), np.int64)
    ranks[order] = np.arange(len(names))
    return [names[place] for place in order], ranks[codes]

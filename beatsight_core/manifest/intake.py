"""The first half of a catalog: a manifest's lines to events and rejections, in the order of lines."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from beatsight_core.errors import ManifestError
from beatsight_core.manifest.catalog import CHUNKS, EVENTS, REJECTED
from beatsight_core.manifest.catalog_counts import CatalogCounts
from beatsight_core.manifest.events import EVENT_SCHEMA
from beatsight_core.manifest.identity import is_compressed
from beatsight_core.manifest.parsing.checks import Rules, UnknownLabels
from beatsight_core.manifest.parsing.chunks import CatalogJob, ParseJob, TakenChunk
from beatsight_core.manifest.parsing.growth import ChunkRecord, Growth
from beatsight_core.manifest.parsing.lines import read_chunks
from beatsight_core.manifest.parsing.parse import ChunkResult, Rejection
from beatsight_core.manifest.parsing.repeats import SeenKeys
from beatsight_core.manifest.parsing.spill import Spilled
from beatsight_core.manifest.parsing.tables import TableWriter
from beatsight_core.manifest.refused import with_suggestions
from beatsight_core.manifest.sessions import SessionParts
from beatsight_core.progress import Progress, Task
from beatsight_core.workers import WorkerPool

GIVE_UP = 1_000_000
"""After so many refused lines, if hardly any line is an event, the rest is not looked at."""

FEWEST_EVENTS = 0.01
"""Of the lines so far: with a smaller share the file is no manifest."""

SHOWN_REJECTIONS = 3
"""Rejections that the error of a manifest without any valid event repeats."""


class Intake:
    """A reader that turns a manifest into a catalog's events and rejections, and keeps the counts.

    Args:
        path: Path of the manifest.
        rules: Rules of settings for events.
        folder: Folder in which the catalog is made.
        limit: Most lines to take that are not blank.
        growth: Knowledge of an earlier catalog about the manifest.

    Attributes:
        lines: Number of all lines, blank ones too.
        read_lines: Number of lines that are not blank.
        kept: Number of events.
        reasons: Rejected lines by reason.
        unknown: Labels that the taxonomy lacks.
        tally: Totals of the events.
        parts: Totals by session and file, for sampling.
        spilled: Events that were set aside for hits, by chunk.
        dropped: Lines that were spilled and then found to repeat an event id, by chunk.
    """

    def __init__(self, path: Path, rules: Rules, folder: Path, limit: int | None = None, growth: Growth | None = None):
        self._path, self._rules, self._folder, self._limit, self._growth = path, rules, folder, limit, growth
        self._ids = SeenKeys()
        self.lines = self.read_lines = self.kept = 0
        self.reasons: Counter[str] = Counter()
        self._shown: list[str] = []
        self.unknown = UnknownLabels()
        self.tally = CatalogCounts()
        self.parts = SessionParts()
        self.spilled: list[Spilled | None] = []
        self.dropped: dict[int, npt.NDArray[np.int64]] = {}

    def read(self, pool: WorkerPool[CatalogJob, Any], progress: Progress) -> None:
        """Write `events.parquet`, `rejected.jsonl` and `chunks.jsonl`.

        Raises:
            ManifestError: The manifest is damaged, or holds no valid event, or hardly any among very many lines.
        """
        total = None if is_compressed(self._path) or self._limit else self._path.stat().st_size / 1e6
        with (
            (self._folder / REJECTED).open("wb") as rejected,
            (self._folder / CHUNKS).open("wb") as records,
            TableWriter(self._folder / EVENTS, EVENT_SCHEMA) as table,
            progress.task("manifest", total, "MB") as task,
        ):
            for taken in pool.map(self._jobs()):
                records.write(self._take(taken, table, rejected.write, task).to_line())
                if not taken.result.whole or self._hopeless:
                    raise self._nothing_valid()
        if not self.kept:
            raise self._nothing_valid()
        self._ids = SeenKeys()  # its memory is wanted for the hits

    def clear(self) -> None:
        """Delete what was only written for the hits."""
        for chunk in self.spilled:
            if chunk is not None:
                chunk.path.unlink()

    def _jobs(self) -> Iterator[CatalogJob]:
        spill_paths = (self._folder / f"chunk-{number:06d}.arrow" for number in itertools.count())
        start = 0
        if self._growth is not None:
            start = self._growth.bytes
            yield from self._growth.jobs(self._rules.taxonomy, spill_paths)
        for chunk in read_chunks(self._path, start=start):
            most = None if self._limit is None else self._limit - self.read_lines
            if most == 0:
                return
            yield ParseJob(self._path, chunk, self._rules, next(spill_paths), most)

    def _take(self, taken: TakenChunk, table: TableWriter, write: Callable[[bytes], int], task: Task) -> ChunkRecord:
        result, events, tally = taken.result, taken.result.events, taken.tally
        rejections, bits = result.rejections, result.label_bits
        repeated = self._ids.add(*taken.ids)
        if repeated.any():
            rejections = sorted([*rejections, *_repeats(result, repeated)], key=lambda rejection: rejection.line)
            self.dropped[len(self.spilled)] = events.column("line").to_numpy()[repeated]
            events, bits = events.filter(pa.array(~repeated)), bits[~repeated]
            tally = CatalogCounts.of(events)
        if events.num_rows:
            self._write(table, events)
            self.parts.add(events, bits)
        self._reject(rejections, write)
        self.tally.merge(tally)
        self.unknown.merge(result.unknown)
        self.spilled.append(taken.spilled)
        self.kept += events.num_rows
        self.lines += result.lines
        self.read_lines += result.read
        task.advance(taken.size / 1e6, events=self.kept, rejected=self.read_lines - self.kept)
        unknown = result.unknown
        return ChunkRecord(
            taken.size, result.lines, result.read, events.num_rows, dict(unknown.counts), sorted(unknown.source_sets)
        )

    def _write(self, table: TableWriter, events: pa.RecordBatch) -> None:
        lines = pa.array(events.column("line").to_numpy() + (self.lines + 1))
        table.write([lines, *events.columns[1:]], events.num_rows)

    def _reject(self, rejections: list[Rejection], write: Callable[[bytes], int]) -> None:
        for rejection in rejections:
            row = {
                "line": self.lines + rejection.line + 1,
                "offset": rejection.offset,
                "reason": rejection.reason,
                "message": rejection.message,
            }
            write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            self.reasons[rejection.reason] += 1
            if len(self._shown) < SHOWN_REJECTIONS:
                self._shown.append(f"line {row['line']}: {with_suggestions(rejection.message)}")

    @property
    def _hopeless(self) -> bool:
        refused = self.read_lines - self.kept
        return refused > GIVE_UP and self.kept < FEWEST_EVENTS * self.read_lines

    def _nothing_valid(self) -> ManifestError:
        if not self.read_lines:
            return ManifestError("The manifest holds no line", where=self._path, do="export it again")
        none = f"None of the manifest's {self.read_lines:,} lines is a valid event"
        few = f"Only {self.kept:,} of the manifest's first {self.read_lines:,} lines are valid events"
        return ManifestError(
            few if self.kept else none,
            where=self._path,
            why="; ".join(self._shown),
            do="mend the manifest, or the taxonomy and source sets in settings",
        )


def _repeats(result: ChunkResult, repeated: npt.NDArray[np.bool_]) -> list[Rejection]:
    places = np.flatnonzero(repeated).tolist()
    ids, lines = result.events.column("event_id"), result.events.column("line")
    return [
        Rejection(
            lines[place].as_py(),
            int(result.offsets[place]),
            "duplicate_event_id",
            f"event_id {ids[place].as_py()!r} was used by an earlier line",
        )
        for place in places
    ]

"""The first half of a catalog: a manifest's lines to events and rejections, in the order of lines."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from beatsight_core.errors import ManifestError
from beatsight_core.manifest.catalog import EVENTS, REJECTED
from beatsight_core.manifest.checks import Rules, UnknownLabels
from beatsight_core.manifest.columns import ChunkResult, Rejection, parse_lines
from beatsight_core.manifest.events import EVENT_SCHEMA
from beatsight_core.manifest.lines import Chunk, is_compressed, read_chunks
from beatsight_core.manifest.repeats import SeenKeys, stroke_keys, text_keys
from beatsight_core.manifest.spill import Spilled, spill
from beatsight_core.manifest.tables import TableWriter
from beatsight_core.manifest.tally import Tally
from beatsight_core.manifest.workers import Mapper
from beatsight_core.progress import Progress, Task

SHOWN_REJECTIONS = 3
"""Rejections that the error of a manifest without any valid event repeats."""


@dataclass(frozen=True)
class _ChunkJob:
    path: Path
    chunk: Chunk
    rules: Rules
    spill_path: Path
    most: int | None


@dataclass(frozen=True)
class _ParsedChunk:
    size: int
    result: ChunkResult
    tally: Tally
    spilled: Spilled | None


class Intake:
    """Reads a manifest into a folder and keeps the counts.

    Attributes:
        lines: All lines, blank ones too.
        read_lines: Those that are not blank.
        kept: Events.
        duplicates: Events that repeat session, onset and components of an earlier one.
        reasons: Rejected lines by reason.
        unknown: Labels that the taxonomy lacks.
        tally: Counts of the events.
        spilled: By chunk, what hits need of its events.
        dropped: By chunk, lines that were spilled and then found to repeat an event id.
    """

    def __init__(self, path: Path, rules: Rules, folder: Path, limit: int | None = None):
        self._path, self._rules, self._folder, self._limit = path, rules, folder, limit
        self._ids, self._strokes = SeenKeys(), SeenKeys()
        self.lines = self.read_lines = self.kept = self.duplicates = 0
        self.reasons: Counter[str] = Counter()
        self._shown: list[str] = []
        self.unknown = UnknownLabels()
        self.tally = Tally()
        self.spilled: list[Spilled | None] = []
        self.dropped: dict[int, npt.NDArray[np.int64]] = {}

    def read(self, mapper: Mapper, progress: Progress) -> None:
        """Write `events.parquet` and `rejected.jsonl`.

        Raises:
            ManifestError: The manifest is damaged or holds no valid event.
        """
        total = None if is_compressed(self._path) or self._limit else self._path.stat().st_size / 1e6
        with (
            (self._folder / REJECTED).open("wb") as rejected,
            TableWriter(self._folder / EVENTS, EVENT_SCHEMA) as table,
            progress.task("manifest", total, "MB") as task,
        ):
            for parsed in mapper(_parse_chunk, self._jobs()):
                self._take(parsed, table, rejected.write, task)
        if not self.kept:
            raise self._nothing_valid()
        self._ids, self._strokes = SeenKeys(), SeenKeys()  # their memory is wanted for the hits

    def clear(self) -> None:
        """Delete what was only written for the hits."""
        for chunk in self.spilled:
            if chunk is not None:
                chunk.path.unlink()

    def _jobs(self) -> Iterator[_ChunkJob]:
        for number, chunk in enumerate(read_chunks(self._path)):
            most = None if self._limit is None else self._limit - self.read_lines
            if most == 0:
                return
            yield _ChunkJob(self._path, chunk, self._rules, self._folder / f"chunk-{number:06d}.arrow", most)

    def _take(self, parsed: _ParsedChunk, table: TableWriter, write: Callable[[bytes], Any], task: Task) -> None:
        result, events, tally = parsed.result, parsed.result.events, parsed.tally
        rejections, bits = result.rejections, result.label_bits
        if events.num_rows:
            repeated = self._ids.add(*text_keys(events.column("event_id")))
            if repeated.any():
                rejections = sorted([*rejections, *_repeats(result, repeated)], key=lambda rejection: rejection.line)
                self.dropped[len(self.spilled)] = events.column("line").to_numpy()[repeated]
                events, bits = events.filter(pa.array(~repeated)), bits[~repeated]
                tally = Tally.of(events)
            self._write(table, events)
        if events.num_rows:
            onsets = events.column("onset_time").to_numpy()
            self.duplicates += int(self._strokes.add(*stroke_keys(events.column("session_id"), onsets, bits)).sum())
        self._reject(rejections, write)
        self.tally.merge(tally)
        self.unknown.merge(result.unknown)
        self.spilled.append(parsed.spilled)
        self.kept += events.num_rows
        self.lines += result.lines
        self.read_lines += result.read
        task.advance(parsed.size / 1e6, events=self.kept, rejected=self.read_lines - self.kept)

    def _write(self, table: TableWriter, events: pa.RecordBatch) -> None:
        lines = pa.array(events.column("line").to_numpy() + (self.lines + 1))
        table.write([lines, *events.columns[1:]], events.num_rows)

    def _reject(self, rejections: list[Rejection], write: Callable[[bytes], Any]) -> None:
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
                self._shown.append(f"line {row['line']}: {rejection.message}")

    def _nothing_valid(self) -> ManifestError:
        path = self._path
        if not self.read_lines:
            return ManifestError("The manifest holds no line", where=path, do="export it again")
        with path.open("rb") as handle:
            utf16 = handle.read(2) in (b"\xff\xfe", b"\xfe\xff")
        return ManifestError(
            f"None of the manifest's {self.read_lines:,} lines is a valid event",
            where=path,
            why="; ".join(self._shown),
            do="save the file as UTF-8" if utf16 else "mend the manifest, or the taxonomy and source sets in settings",
        )


def _parse_chunk(job: _ChunkJob) -> _ParsedChunk:
    chunk = job.chunk
    blocks: Iterable[bytes] = () if chunk.too_long else chunk.blocks(job.path)
    result = parse_lines(blocks, chunk.offset, job.rules, job.most)
    if chunk.too_long:
        refusal = Rejection(0, chunk.offset, "line_too_long", f"the line has {chunk.size:,} bytes")
        result = ChunkResult(1, 1, result.events, result.offsets, result.label_bits, [refusal])
    return _ParsedChunk(chunk.size, result, Tally.of(result.events), spill(result.events, job.spill_path))


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

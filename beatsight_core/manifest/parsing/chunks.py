"""A chunk of a manifest on its way into the catalog: what it held, wherever that was learned from.

Most chunks are parsed. Those that an earlier catalog knows (`growth`) are read from there. Both give the same, so that
nothing after this can tell them apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from beatsight_core.manifest.catalog_counts import CatalogCounts
from beatsight_core.manifest.parsing.checks import Rules
from beatsight_core.manifest.parsing.lines import Chunk
from beatsight_core.manifest.parsing.parse import ChunkResult, Rejection, parse_lines
from beatsight_core.manifest.parsing.repeats import Keys, text_keys
from beatsight_core.manifest.parsing.spill import Spilled, spill


class CatalogJob(Protocol):
    """A part of the work on a catalog that any process can do."""

    def run(self) -> Any:
        """Do the work, and return its result."""


@dataclass(frozen=True, slots=True)
class TakenChunk:
    """A chunk as the intake takes it.

    Attributes:
        size: Bytes of its text.
        result: Events and rejections of the chunk.
        ids: Keys of the events' ids.
        tally: Counts of the events.
        spilled: File with what hits need of the events; None if there are none.
    """

    size: int
    result: ChunkResult
    ids: tuple[Keys, Keys]
    tally: CatalogCounts
    spilled: Spilled | None

    @classmethod
    def of(cls, size: int, result: ChunkResult, spill_path: Path) -> "TakenChunk":
        """Count and set aside what a chunk held."""
        events = result.events
        return cls(
            size, result, text_keys(events.column("event_id")), CatalogCounts.of(events), spill(events, spill_path)
        )


@dataclass(frozen=True, slots=True)
class ParseJob:
    """A chunk to be parsed.

    Attributes:
        path: Path of the manifest.
        chunk: Place of the chunk in the manifest, or its text.
        rules: Rules of the settings that lines must keep.
        spill_path: File to write what hits need of the events to.
        most: Number of lines that are wanted at most; all by default.
    """

    path: Path
    chunk: Chunk
    rules: Rules
    spill_path: Path
    most: int | None = None

    def run(self) -> TakenChunk:
        """Parse the chunk, move its onsets if settings correct them, and set aside what hits need."""
        chunk = self.chunk
        blocks: Iterable[bytes] = () if chunk.too_long else chunk.blocks(self.path)
        result = parse_lines(blocks, chunk.offset, self.rules, self.most)
        if self.rules.shifts:
            result = replace(result, events=self.rules.shifts.moved(result.events))
        if chunk.too_long:
            refusal = Rejection(0, chunk.offset, "line_too_long", f"the line has {chunk.size:,} bytes")
            result = ChunkResult(1, 1, result.events, result.offsets, result.label_bits, [refusal])
        return TakenChunk.of(chunk.size, result, self.spill_path)


def run_job(job: CatalogJob) -> Any:
    """Run a job; a worker process is given this function."""
    return job.run()

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
        """Do it."""


@dataclass(frozen=True, slots=True)
class TakenChunk:
    """A chunk as the intake takes it.

    Attributes:
        size: Bytes of its text.
        result: Its events and rejections.
        ids: The keys of the events' ids.
        tally: Counts of the events.
        spilled: What hits need of the events, set aside.
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
        path: The manifest.
        chunk: Where it lies, or its text.
        rules: What settings allow.
        spill_path: Where to set events aside.
        most: Lines that are wanted at most.
    """

    path: Path
    chunk: Chunk
    rules: Rules
    spill_path: Path
    most: int | None = None

    def run(self) -> TakenChunk:
        """Parse it."""
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
    """What a worker does."""
    return job.run()

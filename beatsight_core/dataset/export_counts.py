"""Counts of an export under way, for whoever watches: summed from shards as they are found or made."""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from beatsight_core.dataset.export_plan import Unit
from beatsight_core.dataset.index import Rejected
from beatsight_core.dataset.shards.write_shard import ShardOutcome
from beatsight_core.progress import Task


def _zeros() -> defaultdict[str, float]:
    """Numbers that begin at nought; those that matter most come first."""
    return defaultdict(float, events=0.0, clips=0.0)


@dataclass(slots=True)
class ExportCounts:
    """Counts of an export under way, shown as the numbers of its task and as a breakdown by source set.

    Attributes:
        task: Task that counts the hits that are dealt with.
        rate_hz: Sample rate of all clips.
    """

    task: Task
    rate_hz: int
    _numbers: defaultdict[str, float] = field(default_factory=_zeros)
    _sources: defaultdict[str, defaultdict[str, float]] = field(default_factory=lambda: defaultdict(_zeros))
    _began: float = field(default_factory=time.monotonic)

    def add_absent(self, source_set: str, lost: list[Rejected]) -> None:
        """Count hits of files that cannot be had."""
        self._count(source_set, lost)
        self._show(sum(entry.hits for entry in lost))

    def add(self, unit: Unit, outcome: ShardOutcome) -> None:
        """Count a shard."""
        mine = self._sources[unit.source_set]
        for counts in (mine, self._numbers):
            counts["events"] += outcome.events
            counts["clips"] += outcome.rows
        for split, frames in outcome.frames_by_split.items():
            mine[f"{split} s"] += frames / self.rate_hz
        self._numbers["shards written" if outcome.written else "shards reused"] += 1
        self._numbers["MB"] += outcome.bytes / 1e6 if outcome.written else 0.0
        self._count(unit.source_set, outcome.rejected)
        self._show(unit.hits)

    def _count(self, source_set: str, lost: Iterable[Rejected]) -> None:
        mine = self._sources[source_set]
        for entry in lost:
            mine[entry.reason] += entry.hits
            self._numbers[entry.reason] += entry.hits

    def _show(self, hits: int) -> None:
        speed = {"MB/s": self._numbers["MB"] / max(time.monotonic() - self._began, 1e-3)}
        self.task.breakdown(self._sources)
        self.task.advance(hits, **self._numbers, **speed)

"""The second half of a catalog: events to hits, in the order of audio files, with their splits."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beatsight_core.manifest.catalog_counts import count_values, dictionary_parts
from beatsight_core.manifest.events import HIT_SCHEMA
from beatsight_core.manifest.hits import HitRules, coalesce
from beatsight_core.manifest.intake import Intake
from beatsight_core.manifest.parsing.arrays import dictionary_array
from beatsight_core.manifest.parsing.chunks import CatalogJob
from beatsight_core.manifest.parsing.spill import Slice, ranges
from beatsight_core.manifest.parsing.tables import TableWriter
from beatsight_core.manifest.splits import SPLITS, Splits, assign_splits
from beatsight_core.progress import Progress
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import taxonomy_named
from beatsight_core.workers import WorkerPool

ROW_GROUP_HITS = 1 << 16


@dataclass(frozen=True, slots=True)
class HitsJob:
    """Hits to be made of a range of audio files.

    Attributes:
        slices: Slices of the files that their events were set aside in.
        rules: Rules by which events become hits.
    """

    slices: list[Slice]
    rules: HitRules

    def run(self) -> tuple[int, pa.Table]:
        """Return how many events there were, and the hits."""
        events = pa.Table.from_batches([batch for part in self.slices for batch in part.read()])
        return events.num_rows, coalesce(events, self.rules)


class Assembly:
    """A maker of hits from what an intake has read; it counts them, too.

    Attributes:
        splits: Split of every session.
        count: Number of hits.
        by: Numbers of hits by source set, by split and by label.
    """

    def __init__(self, settings: Settings, intake: Intake):
        sources = {name: settings.source(name) for name in intake.tally.events_by_source()}
        self._intake = intake
        self._rules = HitRules(
            taxonomy_named(settings.taxonomy),
            {name: source.coalesce_ms for name, source in sources.items()},
            {name: source.licence for name, source in sources.items()},
        )
        split_by = {name: source.split_by for name, source in sources.items()}
        self.splits: Splits = assign_splits(intake.tally.performances, settings.dataset, split_by)
        self.count = 0
        self.by: dict[str, Counter[str]] = {name: Counter() for name in ("source_set", "split", "labels")}

    def make(self, pool: WorkerPool[CatalogJob, Any], path: Path, progress: Progress) -> None:
        """Write `hits.parquet`."""
        intake = self._intake
        jobs = (HitsJob(slices, self._rules) for slices in ranges(intake.tally.files(), intake.spilled, intake.dropped))
        with TableWriter(path, HIT_SCHEMA) as table, progress.task("hits", intake.kept, "events") as task:
            for taken, hits in pool.map(jobs):
                self.count += hits.num_rows
                columns = self._with_splits(hits)
                table.write([columns[name] for name in HIT_SCHEMA.names], hits.num_rows, ROW_GROUP_HITS)
                task.advance(taken, hits=self.count)

    def _with_splits(self, hits: pa.Table) -> dict[str, pa.Array]:
        columns: dict[str, pa.Array] = {name: hits[name].combine_chunks() for name in hits.column_names}
        codes, sessions = dictionary_parts(columns["session_id"])
        found = [self.splits.of[session] for session in sessions]
        names = list(SPLITS)
        columns["split"] = dictionary_array(
            np.array([names.index(split) for split, _ in found], np.int32)[codes], names
        )
        groups = {group: place for place, group in enumerate(dict.fromkeys(group for _, group in found))}
        places = np.array([groups[group] for _, group in found], np.int32)
        columns["split_group"] = dictionary_array(places[codes], list(groups))
        for name, counter in self.by.items():
            counter.update(count_values(columns[name]))
        return columns

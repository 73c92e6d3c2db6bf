"""The counts of an export, as the index of a source set holds them: summed up from its shards and its lost hits.

For each source set, hits = clips + hits of every loss, and the same of events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from beatsight_core.dataset.export_plan import Unit
from beatsight_core.dataset.index import Index, IndexCounts, Rejected, ShardEntry, index_inputs
from beatsight_core.dataset.shards.shard_schema import ClipSpec
from beatsight_core.dataset.shards.write_shard import REASONS, ShardOutcome
from beatsight_core.manifest.read_manifest import Catalog

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """The inputs that a dataset was made from, and its settings.

    Attributes:
        catalog: Catalog of the manifest.
        specs: Source set -> shape of its clips.
        unit_hits: Number of hits packed into a shard.
    """

    catalog: Catalog
    specs: Mapping[str, ClipSpec]
    unit_hits: int


def index_of(
    made_from: MadeFrom, source_set: str, units: Sequence[Unit], outcomes: Mapping[Unit, ShardOutcome]
) -> Index:
    """Return the index of a source set.

    Args:
        made_from: Catalog and settings of the export.
        source_set: Name of the source set.
        units: Units of the export, in the order of the hits.
        outcomes: Unit -> its shard, for all units that have audio.
    """
    mine = [unit for unit in units if unit.source_set == source_set]
    made = [outcomes[unit] for unit in mine if unit in outcomes]
    rejected = [entry for unit in mine for entry in absent(unit)]
    rejected += [entry for outcome in made for entry in outcome.rejected]
    rejected.sort(key=lambda entry: (entry.audio_path, entry.reason))
    counts = IndexCounts(
        events=sum(unit.events for unit in mine),
        hits=sum(unit.rows for unit in mine),
        clips=sum(outcome.rows for outcome in made),
        events_in_clips=sum(outcome.events for outcome in made),
        files=sum(outcome.files for outcome in made),
        by_split=summed(outcome.by_split for outcome in made),
    )
    clips = made_from.specs[source_set]
    spec = clips.to_json()
    frames = summed(outcome.frames_by_split for outcome in made)
    return Index(
        manifest=made_from.catalog.key,
        source_set=source_set,
        settings=spec,
        inputs=index_inputs(made_from.catalog.summary.inputs, spec, made_from.unit_hits),
        shards=tuple(
            ShardEntry(outcome.digest, outcome.rows, outcome.bytes, outcome.files, outcome.sha256) for outcome in made
        ),
        counts=counts,
        rejected={reason: sum(entry.hits for entry in rejected if entry.reason == reason) for reason in REASONS},
        rejected_files=tuple(rejected),
        seconds_by_split={split: count / clips.window.rate_hz for split, count in frames.items()},
    )


def absent(unit: Unit) -> list[Rejected]:
    """Return the losses of a unit's files that cannot be had."""
    gone = (file for file in unit.files if file.root is None)
    return [Rejected(file.audio_path, file.loss, file.hits, file.events, file.reason) for file in gone]


def summed(counts: Iterable[Mapping[str, Number]]) -> dict[str, Number]:
    """Return several counts by name as one, ordered by name."""
    total: dict[str, Number] = {}
    for count in counts:
        for name, value in count.items():
            total[name] = total.get(name, 0) + value
    return dict(sorted(total.items()))

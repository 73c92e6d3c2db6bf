"""Finding shards that are there already, without reading audio.

A unit whose files are all as they were when they were last read has a known name; if a shard of that name is whole, the
unit is done. What the shard holds is read from the shard.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from beatsight_core.audio.digests import DigestMemory, FileState
from beatsight_core.dataset.export_plan import Unit, shard_names
from beatsight_core.dataset.index import ShardEntry, read_index
from beatsight_core.dataset.shards.rows import HitRows
from beatsight_core.dataset.shards.shard_schema import ClipSpec, shard_name
from beatsight_core.dataset.shards.write_shard import ShardOutcome, find_shard
from beatsight_core.errors import DatasetError
from beatsight_core.files import sha256_file
from beatsight_core.names import file_name
from beatsight_core.settings import Settings


def find_shards(
    settings: Settings,
    rows: HitRows,
    units: Sequence[Unit],
    specs: Mapping[str, ClipSpec],
    memories: Mapping[str, DigestMemory],
) -> dict[Unit, ShardOutcome]:
    """Return the units whose shards are on disk, with what these hold.

    Args:
        settings: Settings that say where shards are.
        rows: Hits of the catalog.
        units: Units to look for.
        specs: Source set -> shape of its clips.
        memories: Source set -> content digests of files that were read before.

    Returns:
        Unit -> its shard, for those found whole.
    """
    contents = {unit: known for unit in units if (known := _contents(unit, memories[unit.source_set]))}
    found: dict[Unit, ShardOutcome] = {}
    for unit, mine in rows.of_units(list(contents)):
        outcome = find_shard(settings.shards_dir, shard_names(specs[unit.source_set], contents[unit], mine))
        if outcome is not None:
            found[unit] = outcome
    return _with_sums(settings, found)


def _contents(unit: Unit, memory: DigestMemory) -> list[tuple[str, str]]:
    """(audio_path, content digest) of a unit's files, or nothing if one of them has to be read first."""
    contents = []
    for file in unit.present:
        digest = memory.get(FileState(str(file.root), file.audio_path, file.size, file.mtime_ns))
        if digest is None:
            return []
        contents.append((file.audio_path, digest))
    return contents


def _with_sums(settings: Settings, found: dict[Unit, ShardOutcome]) -> dict[Unit, ShardOutcome]:
    """The shards found, with their checksums: as an index recorded them, else computed now.

    A shard whose size is not the recorded one is broken and left out.
    """
    known: dict[str, ShardEntry] = {}
    for source_set in {unit.source_set for unit in found}:
        for path in settings.dataset_dir.glob(f"*/{file_name(source_set)}.json"):
            try:
                known |= {entry.digest: entry for entry in read_index(path).shards}
            except DatasetError:
                continue

    def with_sum(outcome: ShardOutcome) -> ShardOutcome | None:
        entry = known.get(outcome.digest)
        if entry is None:
            return replace(outcome, sha256=sha256_file(settings.shards_dir / shard_name(outcome.digest)))
        return replace(outcome, sha256=entry.sha256) if entry.bytes == outcome.bytes else None

    with ThreadPoolExecutor(4) as threads:
        summed = threads.map(with_sum, found.values())
        return {unit: outcome for unit, outcome in zip(found, summed, strict=True) if outcome is not None}

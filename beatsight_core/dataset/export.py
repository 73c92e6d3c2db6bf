"""The export: hits and audio in, shards and an index out. The story from plan to commit.

    catalog, inventory -> units -> which shards are there already -> room on the drive? -> write the others -> index

The same command resumes after any interruption. Nothing is counted that is not on disk: a shard's own metadata says
what it holds and what it left out, whether this run wrote it or found it.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from beatsight_core.audio.digests import DigestMemory, FileState
from beatsight_core.audio.inventory import Inventory, build_inventory
from beatsight_core.audio.roots import Status
from beatsight_core.dataset.accounts import MadeFrom, absent, index_of, summed
from beatsight_core.dataset.empty_export import require_clips
from beatsight_core.dataset.export_counts import ExportCounts
from beatsight_core.dataset.export_plan import PlannedFile, Unit, plan_units
from beatsight_core.dataset.in_use import shards_in_use
from beatsight_core.dataset.index import (
    Index,
    commit_index,
    dataset_digest,
    index_path,
    index_paths,
    indexes_folder,
)
from beatsight_core.dataset.processes import process_count
from beatsight_core.dataset.reuse import find_shards
from beatsight_core.dataset.shards.contexts import hit_windows
from beatsight_core.dataset.shards.rows import HitRows, rows_bytes
from beatsight_core.dataset.shards.shard_schema import WAV_HEADER_BYTES, ClipSpec, shard_name
from beatsight_core.dataset.shards.unit_audio import FileJob
from beatsight_core.dataset.shards.write_shard import ShardOutcome, UnitJob, make_shard
from beatsight_core.dataset.space import require_space
from beatsight_core.errors import InputError
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.manifest.read_manifest import Catalog, build_catalog
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject
from beatsight_core.workers import WorkerPool, prepare_workers, worker_count


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The result of an export: what it made, and what it found.

    Attributes:
        key: Key of the manifest.
        indexes: Indexes, one per source set.
        index_paths: Files of these indexes.
        shards_written: Number of shards that this run wrote.
        shards_reused: Number of shards that were on disk already.
        seconds: Time that the export took.
    """

    key: str
    indexes: tuple[Index, ...]
    index_paths: tuple[Path, ...]
    shards_written: int
    shards_reused: int
    seconds: float

    def to_json(self) -> JsonObject:
        """Return totals over the source sets: `hits` exported + `rejected` = hits of the catalog."""
        reasons = summed(index.rejected for index in self.indexes)
        seconds = summed(index.seconds_by_split for index in self.indexes)
        return {
            "key": self.key,
            "events": sum(index.counts.events for index in self.indexes),
            "events_in_clips": sum(index.counts.events_in_clips for index in self.indexes),
            "hits": sum(index.counts.clips for index in self.indexes),
            "rejected": sum(reasons.values()),
            "rejects_by_reason": {**reasons},
            "clips_by_source": {index.source_set: index.counts.clips for index in self.indexes},
            "clips_by_split": {**summed(index.counts.by_split for index in self.indexes)},
            "seconds_by_split": {split: round(length, 3) for split, length in seconds.items()},
            "shards_written": self.shards_written,
            "shards_reused": self.shards_reused,
            "bytes": sum(index.bytes for index in self.indexes),
            "seconds": round(self.seconds, 3),
            "index_paths": [str(path) for path in self.index_paths],
            "dataset_digest": dataset_digest(self.indexes),
        }


def export_dataset(
    settings: Settings,
    ref: str | Path,
    *,
    source_sets: Sequence[str] | None = None,
    limit: int | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Export a manifest's hits as clips.

    Args:
        settings: Layout of the data root, and shape of the clips.
        ref: Manifest: a path or a known key.
        source_sets: Source sets to export; all by default.
        limit: Number of lines at the start of the manifest to export, as a dataset of its own; all by default.
        workers: Number of processes; by default as settings say.
        overwrite: True to write every shard again, also those that are there.
        progress: Receiver of the number of hits done.

    Returns:
        What is on disk now. The indexes are committed.

    Raises:
        ManifestError: The manifest cannot be used.
        InputError: A source set is not in the manifest, none of its roots is mounted, or not one hit became a clip.
        AudioError: A drive failed or vanished on the way.
        StorageError: There is too little room (before anything is written), or writing failed.
        BeatSightError: A worker was killed.
    """
    began = time.monotonic()
    progress = progress or SilentProgress()
    wished = settings.dataset.workers if workers is None else workers
    if worker_count(wished) > 1:
        prepare_workers(make_shard)
    catalog = build_catalog(settings, ref, limit=limit, progress=progress)
    inventory = build_inventory(settings, catalog, progress=progress)
    wanted = _wanted(inventory, source_sets)
    _require_roots(inventory, wanted)
    export = _Export.of(settings, catalog, wanted, overwrite)
    units = [unit for unit in _plan(settings, inventory) if unit.source_set in wanted]
    memories = {name: DigestMemory(settings, name) for name in wanted}
    found = {} if overwrite else find_shards(settings, export.rows, units, export.specs, memories)
    _require_space(export, [unit for unit in units if unit not in found])
    with shards_in_use(settings):
        _clear_leftovers(settings, catalog.key)
        outcomes = _outcomes(_Work(export, units, memories, wished), _still_there(settings, found), progress)
        require_clips(inventory, units, outcomes)
        made_from = MadeFrom(catalog, export.specs, settings.dataset.unit_hits)
        indexes = tuple(index_of(made_from, name, units, outcomes) for name in wanted)
        paths = tuple(commit_index(settings, index) for index in indexes)
        if source_sets is None:
            _drop_stale(settings, catalog.key, wanted)
    written = sum(outcome.written for outcome in outcomes.values())
    return ExportResult(catalog.key, indexes, paths, written, len(outcomes) - written, time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class _Export:
    """What does not change during an export."""

    settings: Settings
    catalog: Catalog
    rows: HitRows
    spec: ClipSpec
    specs: Mapping[str, ClipSpec]
    overwrite: bool

    @classmethod
    def of(cls, settings: Settings, catalog: Catalog, source_sets: Iterable[str], overwrite: bool) -> "_Export":
        spec = ClipSpec.of(settings)
        specs = {name: ClipSpec.of(settings, name) for name in source_sets}
        windows = None if spec.fixed_length else hit_windows(catalog, spec.window)
        return cls(settings, catalog, HitRows(catalog.hits_path, windows), spec, specs, overwrite)

    def clip_bytes(self, units: Iterable[Unit]) -> int:
        """Bytes that the clips of some units take at most."""
        if self.rows.windows is None:
            return sum(unit.hits for unit in units) * self.spec.clip_bytes
        frames = self.rows.windows.sum(axis=1, dtype=np.int64)
        mine = (frames[unit.first_row : unit.first_row + unit.rows] for unit in units)
        return sum(2 * int(each.sum()) + WAV_HEADER_BYTES * len(each) for each in mine)


def _wanted(inventory: Inventory, source_sets: Sequence[str] | None) -> list[str]:
    there = inventory.files["source_set"].unique().sort().to_list()
    if source_sets is None:
        return there
    if unknown := sorted(set(source_sets) - set(there)):
        raise InputError(
            f"The manifest has no events of {', '.join(unknown)}",
            where=inventory.key,
            do=f"choose from {', '.join(there)}",
        )
    return sorted(set(source_sets))


def _require_roots(inventory: Inventory, wanted: Iterable[str]) -> None:
    """One error for all source sets that have no root at all, instead of one per missing file."""
    gone = {name: roots for name in wanted if (roots := inventory.unmounted(name))}
    if gone:
        lists = "; ".join(f"{name}: {', '.join(map(str, roots))}" for name, roots in gone.items())
        raise InputError(
            f"No root of {', '.join(gone)} is there",
            where=lists,
            do="connect and mount the drive, set the roots in beatsight.toml, or export the other source sets only",
        )


def _clear_leftovers(settings: Settings, key: str) -> None:
    for folder in (*settings.shards_dir.glob("??"), indexes_folder(settings, key)):
        remove_leftovers(folder)


def _plan(settings: Settings, inventory: Inventory) -> list[Unit]:
    """The units of all source sets, in the order of the hits' rows."""
    units: list[Unit] = []
    first_row = 0
    files = inventory.files.filter(pl.col("hits") > 0)
    for name in files["source_set"].unique().sort():
        mine = files.filter(pl.col("source_set") == name)
        rows = mine.select(column.name for column in fields(_FileRow)).iter_rows()
        planned = [_planned(_FileRow(*row)) for row in rows]
        units += plan_units(name, planned, settings.dataset.unit_hits, first_row)
        first_row += sum(file.hits for file in planned)
    return units


@dataclass(frozen=True, slots=True)
class _FileRow:
    """The columns of the inventory that a file is planned from."""

    audio_path: str
    hits: int
    events: int
    status: str
    message: str
    root: str | None
    size: int
    mtime_ns: int
    spelt: str | None
    frames: int | None


def _planned(row: _FileRow) -> PlannedFile:
    file = PlannedFile(row.audio_path, row.hits, row.events, reason=row.message)
    if row.status in (Status.MISSING, Status.UNSAFE):
        return file
    if row.root is None:  # there, but nothing to open: a folder, or a file that may not be looked at
        return replace(file, loss="unreadable_audio")
    found = replace(file, root=row.root, size=row.size, mtime_ns=row.mtime_ns, spelt=row.spelt)
    return replace(found, frames=row.frames or 0, reason="")


def _require_space(export: _Export, units: Sequence[Unit]) -> None:
    hits, shards = sum(unit.hits for unit in units), sum(bool(unit.present) for unit in units)
    require_space(export.settings.shards_dir, export.clip_bytes(units), hits, shards)


def _still_there(settings: Settings, found: Mapping[Unit, ShardOutcome]) -> dict[Unit, ShardOutcome]:
    """The shards found, without those that were pruned since."""
    return {
        unit: outcome for unit, outcome in found.items() if (settings.shards_dir / shard_name(outcome.digest)).exists()
    }


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be exported, and how many processes are wished for."""

    export: _Export
    units: Sequence[Unit]
    memories: Mapping[str, DigestMemory]
    workers: int


def _outcomes(work: _Work, outcomes: dict[Unit, ShardOutcome], progress: Progress) -> dict[Unit, ShardOutcome]:
    """The shards of all units that have audio: those found, and the others, made now."""
    export, units, memories = work.export, work.units, work.memories
    missing = [unit for unit in units if unit.present and unit not in outcomes]
    jobs = ((unit, _job(export, unit, rows, memories)) for unit, rows in export.rows.of_units(missing))
    processes = process_count(work.workers)
    with (
        WorkerPool(make_shard, processes) as pool,
        progress.task("export", total=sum(unit.rows for unit in units), unit="hits") as task,
    ):
        counts = ExportCounts(task, export.spec.window.rate_hz)
        for unit in units:
            counts.add_absent(unit.source_set, absent(unit))
        for unit, outcome in outcomes.items():
            counts.add(unit, outcome)
        for unit, outcome in pool.run(jobs, len(missing)):
            memories[unit.source_set].add((file.state, file.digest) for file in outcome.read)
            outcomes[unit] = outcome
            counts.add(unit, outcome)
    return outcomes


def _job(export: _Export, unit: Unit, rows: pa.Table, memories: Mapping[str, DigestMemory]) -> UnitJob:
    memory = memories[unit.source_set]
    files = []
    for file in unit.present:
        state = FileState(str(file.root), file.audio_path, file.size, file.mtime_ns)
        digest = memory.get(state)
        known = None if digest is None else (state, digest)
        files.append(FileJob(file.audio_path, str(file.root), file.hits, known, file.spelt))
    return UnitJob(
        unit.source_set,
        tuple(files),
        rows_bytes(rows),
        export.specs[unit.source_set],
        export.settings.shards_dir,
        export.overwrite,
    )


def _drop_stale(settings: Settings, key: str, wanted: Iterable[str]) -> None:
    """Remove indexes of source sets that the manifest no longer has hits of."""
    current = {index_path(settings, key, name) for name in wanted}
    for path in set(index_paths(settings, key)) - current:
        path.unlink(missing_ok=True)

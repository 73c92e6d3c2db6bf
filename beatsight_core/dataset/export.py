"""The export: hits and audio in, shards and an index out. The story from plan to commit.

    catalog, inventory -> units -> which shards are there already -> room on the drive? -> write the others -> index

The same command resumes after any interruption. Nothing is counted that is not on disk: a shard's own metadata says
what it holds and what it left out, whether this run wrote it or found it.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from beatsight_core.audio.digests import DigestMemory
from beatsight_core.audio.inventory import Inventory, build_inventory
from beatsight_core.audio.roots import Status
from beatsight_core.dataset.index import (
    Index,
    ShardEntry,
    commit_index,
    dataset_digest,
    index_path,
    index_paths,
    indexes_folder,
)
from beatsight_core.dataset.plan import PlannedFile, Unit, plan_units
from beatsight_core.dataset.reuse import find_shards
from beatsight_core.dataset.rows import rows_bytes, stream_rows
from beatsight_core.dataset.schema import ClipSpec
from beatsight_core.dataset.shard import REASONS, Rejected, ShardOutcome, UnitJob, make_shard
from beatsight_core.dataset.space import require_space
from beatsight_core.dataset.unit_audio import FileJob
from beatsight_core.dataset.workers import WorkerPool, worker_count
from beatsight_core.errors import InputError
from beatsight_core.files import digest_json, remove_leftovers
from beatsight_core.manifest.reader import Catalog, build_catalog
from beatsight_core.progress import Progress, SilentProgress, Task
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export made or found.

    Attributes:
        key: Of the manifest.
        indexes: One per source set.
        index_paths: Where they lie.
        shards_written: By this run.
        shards_reused: Found on disk.
        seconds: That it took.
    """

    key: str
    indexes: tuple[Index, ...]
    index_paths: tuple[Path, ...]
    shards_written: int
    shards_reused: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Totals over the source sets: `hits` exported + `rejected` = hits of the catalog."""
        reasons = _sum(index.rejected for index in self.indexes)
        return {
            "key": self.key,
            "hits": sum(index.counts["clips"] for index in self.indexes),
            "rejected": sum(reasons.values()),
            "rejects_by_reason": reasons,
            "clips_by_source": {index.source_set: index.counts["clips"] for index in self.indexes},
            "clips_by_split": _sum(index.counts["by_split"] for index in self.indexes),
            "seconds_by_split": {
                split: round(seconds, 3)
                for split, seconds in _sum(index.seconds_by_split for index in self.indexes).items()
            },
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
        settings: Where all is, and how clips are made.
        ref: The manifest: a path or a known key.
        source_sets: Only these; all by default.
        limit: Only the manifest's first lines, as a dataset of its own.
        workers: Processes; by default as settings say.
        overwrite: Write every shard again, also those that are there.
        progress: Hears of each shard.

    Returns:
        What is on disk now. The indexes are committed.

    Raises:
        ManifestError: The manifest cannot be used.
        InputError: A source set is not in the manifest, or none of its roots is mounted.
        AudioError: A drive failed or vanished on the way.
        StorageError: There is too little room (before anything is written), or writing failed.
        BeatSightError: A worker was killed.
    """
    began = time.monotonic()
    progress = progress or SilentProgress()
    catalog = build_catalog(settings, ref, limit=limit, progress=progress)
    export = _Export(settings, catalog, ClipSpec.of(settings), overwrite)
    with WorkerPool(make_shard, worker_count(settings.dataset.workers if workers is None else workers)) as pool:
        if not index_paths(settings, catalog.key):
            pool.start(catalog.summary.files)  # a first export will need them; they get ready during the inventory
        inventory = build_inventory(settings, catalog, progress=progress)
        wanted = _wanted(inventory, source_sets)
        _require_roots(inventory, wanted)
        _clear_leftovers(settings, catalog.key)
        units = [unit for unit in _plan(settings, inventory) if unit.source_set in wanted]
        outcomes = _outcomes(export, units, pool, progress)
    indexes = tuple(_index(export, name, units, outcomes) for name in wanted)
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
    spec: ClipSpec
    overwrite: bool


@dataclass(slots=True)
class _Tally:
    """What the progress view shows beside the hits done."""

    task: Task
    megabytes: float = 0.0
    reused: int = 0
    written: int = 0
    rejected: int = 0

    def add(self, unit: Unit, outcome: ShardOutcome) -> None:
        self.written += outcome.written
        self.reused += not outcome.written
        self.rejected += sum(entry.hits for entry in outcome.rejected)
        self.megabytes += outcome.bytes / 1e6 if outcome.written else 0.0
        self.task.advance(
            unit.hits, MB=self.megabytes, written=self.written, reused=self.reused, rejected=self.rejected
        )


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
        planned = [_planned(row) for row in mine.iter_rows(named=True)]
        units += plan_units(name, planned, settings.dataset.unit_hits, first_row)
        first_row += sum(file.hits for file in planned)
    return units


def _planned(row: dict[str, Any]) -> PlannedFile:
    if row["status"] in (Status.MISSING, Status.UNSAFE):
        return PlannedFile(row["audio_path"], row["hits"], reason=row["message"])
    if row["root"] is None:  # there, but nothing to open: a folder, or a file that may not be looked at
        return PlannedFile(row["audio_path"], row["hits"], loss="unreadable_audio", reason=row["message"])
    return PlannedFile(row["audio_path"], row["hits"], row["root"], row["size"], row["mtime_ns"])


def _outcomes(
    export: _Export, units: Sequence[Unit], pool: WorkerPool[UnitJob, ShardOutcome], progress: Progress
) -> dict[Unit, ShardOutcome]:
    """The shards of all units that have audio: found, or else made."""
    settings, hits_path = export.settings, export.catalog.hits_path
    memories = {name: DigestMemory(settings, name) for name in {unit.source_set for unit in units}}
    outcomes: dict[Unit, ShardOutcome] = {}
    if not export.overwrite:
        outcomes = find_shards(settings, hits_path, units, export.spec, memories)
    missing = [unit for unit in units if unit.present and unit not in outcomes]
    require_space(settings.shards_dir, sum(unit.hits for unit in missing), len(missing), export.spec)
    jobs = ((unit, _job(export, unit, rows)) for unit, rows in stream_rows(hits_path, missing))
    with progress.task("export", total=sum(unit.hits for unit in units), unit="hits") as task:
        tally = _Tally(task)
        for unit, outcome in outcomes.items():
            tally.add(unit, outcome)
        for unit, outcome in pool.run(jobs, len(missing)):
            memories[unit.source_set].add((file.state, file.digest) for file in outcome.read)
            outcomes[unit] = outcome
            tally.add(unit, outcome)
    return outcomes


def _job(export: _Export, unit: Unit, rows: Any) -> UnitJob:
    files = tuple(FileJob(file.audio_path, str(file.root), file.hits) for file in unit.present)
    return UnitJob(unit.source_set, files, rows_bytes(rows), export.spec, export.settings.shards_dir, export.overwrite)


def _index(export: _Export, source_set: str, units: Sequence[Unit], outcomes: dict[Unit, ShardOutcome]) -> Index:
    mine = [unit for unit in units if unit.source_set == source_set]
    made = [outcomes[unit] for unit in mine if unit in outcomes]
    rejected = [_absent(file) for unit in mine for file in unit.files if file.root is None]
    rejected += [entry for outcome in made for entry in outcome.rejected]
    rejected.sort(key=lambda entry: (entry.audio_path, entry.reason))
    by_split = _sum(outcome.by_split for outcome in made)
    clips = sum(outcome.rows for outcome in made)
    counts = {
        "hits": sum(unit.rows for unit in mine),
        "clips": clips,
        "files": sum(outcome.files for outcome in made),
        "by_split": by_split,
    }
    spec = export.spec.to_json()
    return Index(
        manifest=export.catalog.key,
        source_set=source_set,
        settings=spec,
        inputs=digest_json([export.catalog.summary.to_json()["inputs"], spec, export.settings.dataset.unit_hits]),
        shards=tuple(
            ShardEntry(outcome.digest, outcome.rows, outcome.bytes, outcome.files, outcome.sha256) for outcome in made
        ),
        counts=counts,
        rejected={reason: sum(entry.hits for entry in rejected if entry.reason == reason) for reason in REASONS},
        rejected_files=tuple(entry.to_json() for entry in rejected),
        seconds_by_split={split: count * export.spec.window.seconds for split, count in by_split.items()},
    )


def _absent(file: PlannedFile) -> Rejected:
    return Rejected(file.audio_path, file.loss, file.hits, file.reason)


def _drop_stale(settings: Settings, key: str, wanted: Iterable[str]) -> None:
    """Remove indexes of source sets that the manifest no longer has hits of."""
    current = {index_path(settings, key, name) for name in wanted}
    for path in set(index_paths(settings, key)) - current:
        path.unlink(missing_ok=True)


def _sum(counts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for count in counts:
        for name, value in count.items():
            total[name] = total.get(name, 0) + value
    return dict(sorted(total.items()))

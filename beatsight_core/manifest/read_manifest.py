"""From a manifest to its catalog: the story. What a line, a hit or a split is, is told in the other files.

Chunks of lines are parsed, by several processes if the manifest is big, and their events written in the order of lines;
what hits need of them goes aside, by audio file. Then the audio files are taken range by range to make the hits. The
folder appears under its name when it is whole.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beatsight_core.errors import DatasetError, ManifestError, UsageError
from beatsight_core.files import atomic_folder, exclusive_lock, sha256_file, unless_read_only, write_json
from beatsight_core.leftovers import find_leftovers, remove_leftovers
from beatsight_core.manifest.assembly import Assembly
from beatsight_core.manifest.catalog import (
    CHUNKS,
    EVENTS,
    HITS,
    REJECTED,
    Catalog,
    CatalogSummary,
    catalog_inputs,
    is_catalog,
    open_catalog,
    read_catalog,
)
from beatsight_core.manifest.identity import (
    SUMMARY,
    ManifestState,
    digest_memory,
    key_of,
    known_sha256,
    limited_key,
    manifest_key,
    manifest_sha256,
    manifest_stem,
    prefix_sha256,
    require_name,
    resolve_manifest,
    split_limit,
)
from beatsight_core.manifest.intake import Intake
from beatsight_core.manifest.parsing.checks import Rules
from beatsight_core.manifest.parsing.chunks import CatalogJob, run_job
from beatsight_core.manifest.parsing.growth import Growth, earlier_catalogs, grown_from
from beatsight_core.manifest.parsing.lines import is_compressed
from beatsight_core.manifest.sampling import profile_of, write_sampling
from beatsight_core.manifest.sessions import SessionParts
from beatsight_core.manifest.splits import SPLITS
from beatsight_core.names import file_name
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import taxonomy_named
from beatsight_core.workers import WorkerPool, worker_count

__all__ = [
    "Catalog",
    "CatalogSummary",
    "build_catalog",
    "manifest_key",
    "open_catalog",
    "resolve_manifest",
]

POOL_BYTES = 128 << 20
"""A manifest smaller than this is read in this process: starting others takes as long."""

COMPRESSION = 6
"""About how many times as much text a compressed manifest holds."""


@dataclass(frozen=True)
class _Request:
    """What is to be built, and of what."""

    settings: Settings
    path: Path
    state: ManifestState
    sha256: str
    key: str
    limit: int | None


_Pool = WorkerPool[CatalogJob, Any]


def build_catalog(
    settings: Settings,
    ref: str | Path,
    *,
    limit: int | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Catalog:
    """Make the catalog of a manifest, unless it is there for the same content and the same settings.

    A catalog that no longer fits is replaced as a whole folder. The audio inventory in it goes too, as its counts were
    of the old hits: whatever needs the inventory builds it again. If the process is killed in the instant of the
    exchange there is no catalog until the next call, which makes it.

    Args:
        settings: Layout of the data root, taxonomy, source sets and split ratios.
        ref: Path, name in the inbox, or known key of the manifest.
        limit: Number of lines, blank ones not counted, to take from the start, as a catalog of its own; all by default.
        folder: Folder to put the catalog into instead; then nothing is written elsewhere.
        progress: Receiver of the bytes read and the events that became hits.

    Raises:
        ManifestError: The manifest is not found, damaged, changes while it is read, or holds no valid event.
        StorageError: A drive is full or gone. An earlier catalog is then as it was.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"The limit must be at least 1, not {limit}")
    known = _known_by_key(settings, str(ref), limit) if folder is None else None
    if known is not None:
        return known
    path = _manifest_path(settings, ref)
    progress = progress or SilentProgress()
    with WorkerPool(run_job, _processes(settings, path, limit)) as pool:
        if folder is not None:
            request = _request(settings, ref, path, limit, pool)
            return _fresh(folder, request) or _build(request, folder, pool, progress, None)
        request = _request(settings, ref, path, limit, pool, remember=True)
        target = settings.catalog_folder(request.key)
        there = _fresh(target, request)
        if there is None:
            return _build_locked(request, target, pool, progress)
        if find_leftovers(settings.catalog_dir, is_catalog):  # they go even if there is nothing to make
            with unless_read_only(), _alone(request):
                remove_leftovers(settings.catalog_dir, is_catalog)
        return there


def _alone(request: _Request) -> AbstractContextManager[None]:
    """Be the only one who makes this catalog."""
    return exclusive_lock(request.settings.catalog_dir / ".locks" / file_name(request.key))


def _build_locked(request: _Request, target: Path, pool: _Pool, progress: Progress) -> Catalog:
    with _alone(request):
        remove_leftovers(request.settings.catalog_dir, is_catalog)
        # Whoever held the lock before may have made it.
        return _fresh(target, request) or _build(request, target, pool, progress, _growth(request))


def _manifest_path(settings: Settings, ref: str | Path) -> Path:
    path = resolve_manifest(settings, ref)
    require_name(path)
    return path


def _processes(settings: Settings, path: Path, limit: int | None) -> int:
    """How many processes a manifest is worth; one per core, as each has its own part of the text to parse."""
    size = ManifestState.of(path).size * (COMPRESSION if is_compressed(path) else 1)
    if limit is not None or size < POOL_BYTES:
        return 1
    return worker_count(settings.dataset.workers)


def _request(
    settings: Settings, ref: str | Path, path: Path, limit: int | None, pool: _Pool, *, remember: bool = False
) -> _Request:
    if limit is None and manifest_stem(path) != str(ref):
        limit = split_limit(str(ref))[1]
    state, memory = ManifestState.of(path), digest_memory(settings)
    marks: list[int] = []
    if known_sha256(state, memory) is None:
        pool.start()  # the manifest is new, so there will be work; the processes get ready while it is digested
        marks = [catalog.summary.bytes for catalog in earlier_catalogs(settings, path, state.size)]
    sha256 = manifest_sha256(path, memory, remember=remember, marks=marks)
    return _Request(settings, path, state, sha256, limited_key(key_of(path, sha256), limit), limit)


def _known_by_key(settings: Settings, ref: str, limit: int | None) -> Catalog | None:
    """The catalog of a key, which names its content: the manifest's file is not needed then."""
    if Path(ref).name != ref:
        return None
    try:
        catalog = open_catalog(settings, limited_key(ref, limit))
    except (DatasetError, OSError):
        return None
    return catalog if _matches(settings, catalog.summary) else None


def _fresh(folder: Path, request: _Request) -> Catalog | None:
    try:
        catalog = read_catalog(folder)
    except (DatasetError, OSError):
        return None
    same = catalog.summary.sha256 == request.sha256 and catalog.summary.limit == request.limit
    return catalog if same and _matches(request.settings, catalog.summary) else None


def _matches(settings: Settings, summary: CatalogSummary) -> bool:
    return summary.inputs == catalog_inputs(settings, summary.sha256, summary.limit, summary.source_sets)


def _build(request: _Request, target: Path, pool: _Pool, progress: Progress, growth: Growth | None) -> Catalog:
    settings = request.settings
    rules, profile = Rules.from_settings(settings), profile_of(settings)
    with atomic_folder(target, replace=True) as folder:
        intake = Intake(request.path, rules, folder, request.limit, growth)
        intake.read(pool, progress)
        if ManifestState.of(request.path) != request.state:
            raise ManifestError(
                "The manifest changed while it was read", where=request.path, do="run again when it is complete"
            )
        parts = intake.parts.parts()
        intake.parts = SessionParts()  # its memory is wanted for the hits
        assembly = Assembly(settings, intake)
        assembly.make(pool, folder / HITS, progress)
        intake.clear()
        summary = _summary(request, intake, assembly, folder, sum(part.events - part.different for part in parts))
        moved = rules.shifts.corrections({(part.source_set, part.session_id) for part in parts})
        summary = replace(summary, corrections=moved)
        write_sampling(Catalog(request.key, folder, summary), parts, profile)
        write_json(folder / SUMMARY, summary.to_json())
    return Catalog(request.key, target, summary)


def _growth(request: _Request) -> Growth | None:
    """What an earlier catalog, made by the same settings, knows of this manifest."""
    settings, path = request.settings, request.path
    if request.limit is not None:
        return None
    catalogs = [
        catalog
        for catalog in earlier_catalogs(settings, path, request.state.size)
        if _matches(settings, catalog.summary)
    ]
    return grown_from(catalogs, prefix_sha256(path, {catalog.summary.bytes for catalog in catalogs}))


def _summary(request: _Request, intake: Intake, assembly: Assembly, folder: Path, duplicates: int) -> CatalogSummary:
    parts = [folder / name for name in (EVENTS, HITS, REJECTED, CHUNKS)]
    by_source = intake.tally.events_by_source()
    source_sets = tuple(sorted({*by_source, *intake.unknown.source_sets}))
    components = taxonomy_named(request.settings.taxonomy).components
    return CatalogSummary(
        key=request.key,
        manifest=str(request.path),
        sha256=request.sha256,
        bytes=request.state.size,
        limit=request.limit,
        inputs=catalog_inputs(request.settings, request.sha256, request.limit, source_sets),
        source_sets=source_sets,
        read=intake.read_lines,
        kept=intake.kept,
        rejected=intake.read_lines - intake.kept,
        rejects_by_reason=_sorted(intake.reasons),
        hits=assembly.count,
        sessions=intake.tally.sessions(),
        files=len(intake.tally.files()),
        events_by_source=by_source,
        hits_by_source=_sorted(assembly.by["source_set"]),
        hits_by_split={split: assembly.by["split"][split] for split in SPLITS},
        events_by_label={label: intake.tally.labels[label] for label in components},
        hits_by_label={label: assembly.by["labels"][label] for label in components},
        techniques=_sorted(intake.tally.techniques),
        split_notes=assembly.splits.notes,
        duplicates=duplicates,
        unknown_labels=_sorted(intake.unknown.counts),
        sizes={path.name: path.stat().st_size for path in parts},
        sha256s={path.name: sha256_file(path) for path in parts},
    )


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))

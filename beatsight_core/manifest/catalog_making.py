"""How a catalog is made: the story. What a line, a hit or a split is, is told in the other files.

Chunks of lines are parsed, by several processes if the manifest is big, and their events written in the order of lines;
what hits need of them goes aside, by audio file. Then the audio files are taken range by range to make the hits. The
folder appears under its name when it is whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beatsight_core.errors import ManifestError
from beatsight_core.files import atomic_folder, sha256_file, write_json
from beatsight_core.manifest.assembly import Assembly
from beatsight_core.manifest.catalog import (
    CHUNKS,
    EVENTS,
    HITS,
    REJECTED,
    Catalog,
    CatalogSummary,
    catalog_inputs,
    is_current,
)
from beatsight_core.manifest.identity import SUMMARY, ManifestState, prefix_sha256
from beatsight_core.manifest.intake import Intake
from beatsight_core.manifest.parsing.checks import Rules
from beatsight_core.manifest.parsing.chunks import CatalogJob, run_job
from beatsight_core.manifest.parsing.growth import Growth, earlier_catalogs, grown_from
from beatsight_core.manifest.sampling import profile_of, write_sampling
from beatsight_core.manifest.sessions import SessionParts
from beatsight_core.manifest.splits import SPLITS
from beatsight_core.progress import Progress
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import taxonomy_named
from beatsight_core.workers import WorkerPool

Pool = WorkerPool[CatalogJob, Any]


@dataclass(frozen=True, slots=True)
class CatalogRequest:
    """A catalog that is asked for.

    Attributes:
        settings: Settings that the catalog depends on.
        path: File of the manifest.
        state: State of that file when it was digested.
        sha256: Digest of its content.
        key: Key of the catalog.
        limit: Number of lines to take from the start; None for all.
    """

    settings: Settings
    path: Path
    state: ManifestState
    sha256: str
    key: str
    limit: int | None


def catalog_pool(processes: int) -> Pool:
    """Return the processes that make a catalog, none of them started."""
    return WorkerPool(run_job, processes)


def make_catalog(request: CatalogRequest, target: Path, pool: Pool, progress: Progress, *, grown: bool) -> Catalog:
    """Make a catalog.

    Args:
        request: Request that says of what.
        target: Folder to put it into; one that is there is replaced.
        pool: Processes that parse.
        progress: Receiver of the bytes read and the events that became hits.
        grown: Flag that lets what an earlier catalog knows of the manifest be taken from there.

    Raises:
        ManifestError: The manifest is damaged, changes while it is read, or holds no valid event.
        StorageError: A drive is full or gone. An earlier catalog is then as it was.
    """
    settings = request.settings
    growth = _growth(request) if grown else None
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


def _growth(request: CatalogRequest) -> Growth | None:
    """What an earlier catalog, made by the same settings, knows of this manifest."""
    settings, path = request.settings, request.path
    if request.limit is not None:
        return None
    catalogs = [
        catalog
        for catalog in earlier_catalogs(settings, path, request.state.size)
        if is_current(settings, catalog.summary)
    ]
    return grown_from(catalogs, prefix_sha256(path, {catalog.summary.bytes for catalog in catalogs}))


def _summary(
    request: CatalogRequest, intake: Intake, assembly: Assembly, folder: Path, duplicates: int
) -> CatalogSummary:
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

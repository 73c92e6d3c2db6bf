"""The stages of the data: manifest, audio, export, health, features."""

from collections.abc import Iterable
from pathlib import Path

from beatsight_core.audio.absence import absent_and_back, describe_absence, is_there, roots_of, sources_without_root
from beatsight_core.audio.audio_gates import missing_audio_gates
from beatsight_core.audio.inventory_figures import INVENTORY, AudioFigures
from beatsight_core.dataset.index import Index, index_inputs
from beatsight_core.errors import DatasetError
from beatsight_core.features.shard_file import open_shard, shard_identity, shard_path
from beatsight_core.files import is_locked, read_json
from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.record import HEALTH_REPORT
from beatsight_core.health.reject_gate import reject_gate
from beatsight_core.manifest.catalog import Catalog, is_current
from beatsight_core.manifest.refused import refused_figures
from beatsight_core.names import file_name, lock_names, place_in
from beatsight_core.promotion.health_record import changed_since, other_baseline, read_health_record, require_health
from beatsight_core.status.manifest_facts import ManifestFacts, failed_gates
from beatsight_core.status.stage import Stage
from beatsight_core.taxonomy import taxonomy_named
from beatsight_core.typed_json import from_json

MANIFEST, AUDIO, EXPORT, HEALTH, FEATURES = "manifest", "audio", "export", "health", "features"


def manifest_stage(known: ManifestFacts) -> Stage:
    """Return whether the manifest was read into its catalog, for these settings."""
    settings, catalog = known.settings, known.catalog
    command = known.command("manifest", "check", known.typed)
    if known.is_forgotten:
        again = known.command("manifest", "retry", known.typed)
        return Stage(MANIFEST, "not yet", "it was forgotten, and is not taken up until somebody asks", next=again)
    if catalog is None:
        if is_locked(settings.catalog_dir / ".locks" / file_name(known.key)):
            return Stage(MANIFEST, "under way", "it is being read", next=known.command("status", known.typed))
        return Stage(MANIFEST, "not yet", "it was not read yet", next=command)
    summary = catalog.summary
    read = f"{summary.kept:,} of {summary.read:,} lines are events; {summary.hits:,} hits in {summary.files:,} files"
    if not is_current(settings, summary):
        why = "it was read with other settings (taxonomy, splits, source sets or corrections)"
        return Stage(MANIFEST, "out of date", why, next=command)
    figures = refused_figures({"rejects_by_reason": {}, "read": summary.read, "rejected": summary.rejected}, Path())
    limit = profile_of(settings.gates).max_reject_rate
    if reject_gate(figures, limit).passed:
        return Stage(MANIFEST, "done", read)
    told = reject_gate(refused_figures(summary.to_json(), catalog.rejected_path), limit)
    first = "mend the lines, or the program that writes them"
    return Stage(MANIFEST, "failed", read, failed_gates([told.to_json()]), next=command, first=first)


def audio_stage(known: ManifestFacts) -> Stage:
    """Return whether the audio of the manifest was found, and whether it still is where it was looked for."""
    catalog, settings = _catalog(known), known.settings
    path = catalog.folder / INVENTORY
    export = known.command("export", known.typed)
    if not path.is_file():
        return _unseen_audio(known, catalog.source_sets)
    figures = from_json(AudioFigures, read_json(path), path)
    found = f"{figures.ok:,} of {figures.files:,} files can be used"
    back = [str(root.root) for root in figures.roots if not root.mounted and is_there(root.root)]
    if back:
        return Stage(AUDIO, "out of date", f"{found}; {', '.join(back)} was away then and is there now", next=export)
    if absent_and_back(settings, known.key):
        return Stage(AUDIO, "out of date", f"{found}; all that were missing are there now", next=export)
    if sources_without_root(figures):
        said = describe_absence(figures, settings, short=True) or ""
        return Stage(AUDIO, "failed", found, (said,), next=export, first="mount the drive, or set the roots")
    lost = f"; {figures.lost_events:,} of {figures.events:,} events are without sound" if figures.lost_events else ""
    failed = tuple(gate.message for gate in missing_audio_gates(figures, settings) if not gate.passed)
    if failed:
        first = "put the files there, or set roots under [sources.…] or limits under [gates]"
        return Stage(AUDIO, "failed", found + lost, failed, next=export, first=first)
    return Stage(AUDIO, "done", found + lost)


def _unseen_audio(known: ManifestFacts, source_sets: Iterable[str]) -> Stage:
    """The stage of audio that no inventory has looked for yet."""
    export = known.command("export", known.typed)
    gone = {
        name: roots for name, roots in roots_of(known.settings, source_sets).items() if not any(map(is_there, roots))
    }
    if gone:
        told = tuple(f"{name}: {', '.join(roots)}" for name, roots in gone.items())
        first = f"connect and mount the drive, or set roots under [sources.{next(iter(gone))}]"
        return Stage(AUDIO, "failed", f"no folder of {', '.join(gone)} is there", told, next=export, first=first)
    said = f"not looked for yet; the export does, and `beatsight verify {known.typed}` only looks"
    return Stage(AUDIO, "not yet", said, next=export)


def export_stage(known: ManifestFacts) -> Stage:
    """Return whether the clips of every source set were exported from this catalog with these settings."""
    catalog = _catalog(known)
    command = known.command("export", known.typed)
    if not known.index_files:
        return Stage(EXPORT, "not yet", "no clip was exported yet", next=command)
    indexes = {index.source_set: index for index in known.indexes}
    clips, hits = (sum(getattr(index.counts, name) for index in known.indexes) for name in ("clips", "hits"))
    said = f"{clips:,} clips of {hits:,} hits; source sets: {', '.join(indexes)}"
    if lacking := [name for name in catalog.source_sets if name not in indexes]:
        return Stage(EXPORT, "under way", f"{said}; not exported yet: {', '.join(lacking)}", next=command)
    if changed := [name for name, index in indexes.items() if not _is_of(known, catalog, index)]:
        why = f"{', '.join(changed)} was exported from another state of the catalog, or with other settings"
        return Stage(EXPORT, "out of date", why, next=command)
    if missing := _missing_shards(known):
        heal = known.command("export", known.typed, "--heal")
        return Stage(EXPORT, "failed", f"{said}; {missing:,} shards are gone", next=heal)
    page = place_in(known.settings.dataset_pages_dir, known.key, ".html")
    return Stage(EXPORT, "done", said, reports=_there(page))


def health_stage(known: ManifestFacts) -> Stage:
    """Return the verdict of the health report, if it still is of these data, limits and this baseline."""
    command = known.command("health", known.typed)
    record = read_health_record(known.settings, known.key)
    if record is None:
        return Stage(HEALTH, "not yet", "the data were not judged yet", next=command)
    reports = _there(record.path.with_suffix(".html"))
    if changed := changed_since(known.settings, known.key, record):
        why = "the report is of older inputs"
        return Stage(HEALTH, "out of date", why, tuple(changed), reports, next=command)
    rows = record.content[HEALTH_REPORT.gates]
    failed = failed_gates(rows)
    if failed:
        said = f"{len(failed)} of {len(rows)} gates failed"
        first = "mend the data as each gate says, or go on knowingly: --override-health REASON of `beatsight train`"
        return Stage(HEALTH, "failed", said, failed, reports, next=command, first=first)
    if other_baseline(known.settings, record):  # then its gates are measured again, at some cost
        require_health(known.settings, known.key)
    return Stage(HEALTH, "done", f"all {len(rows)} gates passed", reports=reports)


def features_stage(known: ManifestFacts) -> Stage:
    """Return whether every clip has its features under the present spec."""
    settings, spec, taxonomy = known.settings, known.spec, taxonomy_named(known.settings.taxonomy)
    command = known.command("features", known.typed)
    shards = {entry.digest: entry for index in known.indexes for entry in index.shards}
    whole = 0
    for digest, entry in shards.items():
        try:
            path = shard_path(settings, spec, taxonomy, digest)
            open_shard(path, spec, shard_identity(spec, taxonomy, digest, entry.rows))
            whole += 1
        except DatasetError:
            continue
    if shards and whole == len(shards):
        clips = sum(entry.rows for entry in shards.values())
        return Stage(FEATURES, "done", f"all {clips:,} clips have theirs")
    said = f"{whole:,} of {len(shards):,} shards have theirs"
    folder = settings.cache_dir / spec.digest / ".locks"
    if any(is_locked(folder / name) for name in lock_names(index.source_set for index in known.indexes)):
        return Stage(FEATURES, "under way", said, next=known.command("status", known.typed))
    others = (path for path in settings.cache_dir.glob("*") if path.name != spec.digest and path.is_dir())
    if not whole and any(next(folder.glob(f"{digest}.*"), None) for folder in others for digest in [*shards][:1]):
        return Stage(FEATURES, "out of date", "they were computed under other settings", next=command)
    return Stage(FEATURES, "under way" if whole else "not yet", said, next=command)


def _catalog(known: ManifestFacts) -> Catalog:
    if known.catalog is None:
        raise DatasetError("the manifest was not read yet")
    return known.catalog


def _is_of(known: ManifestFacts, catalog: Catalog, index: Index) -> bool:
    """Return whether an index is what an export would be made from now."""
    from beatsight_core.dataset.shards.shard_schema import ClipSpec

    clips = ClipSpec.of(known.settings, index.source_set).to_json()
    return index.inputs == index_inputs(catalog.summary.inputs, clips, known.settings.dataset.unit_hits)


def _missing_shards(known: ManifestFacts) -> int:
    from beatsight_core.dataset.shards.shard_schema import shard_name

    digests = {entry.digest for index in known.indexes for entry in index.shards}
    return sum(not (known.settings.shards_dir / shard_name(digest)).is_file() for digest in digests)


def _there(path: Path) -> tuple[str, ...]:
    return (str(path),) if path.is_file() else ()

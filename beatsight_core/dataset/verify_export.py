"""Verifying: what an export of a manifest would hold, without writing; and whether the shards are still whole."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import numpy as np
import polars as pl

from beatsight_core.audio.inventory import Inventory, survey_audio
from beatsight_core.audio.inventory_figures import CopiedFiles, HiddenFile, LostFile, NotedFile
from beatsight_core.audio.roots import RootStatus, Status
from beatsight_core.dataset.export import export_dataset
from beatsight_core.dataset.index import ShardEntry, index_paths, read_index
from beatsight_core.dataset.shards.contexts import hit_windows
from beatsight_core.dataset.shards.shard_schema import WAV_HEADER_BYTES, ClipSpec, shard_name
from beatsight_core.dataset.space import estimated_bytes, free_bytes
from beatsight_core.errors import DatasetError
from beatsight_core.files import json_bytes, sha256_file
from beatsight_core.manifest.catalog import REJECTED, broken_files
from beatsight_core.manifest.identity import split_limit
from beatsight_core.manifest.read_manifest import Catalog, build_catalog, resolve_manifest
from beatsight_core.manifest.refused import FirstRefused, refused_figures
from beatsight_core.names import file_name
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, to_json


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The result of verifying: what an export would hold and lack.

    Attributes:
        key: Key of the manifest.
        read: Lines of the manifest that hold something.
        kept: Lines that became events.
        rejected: Lines that were quarantined.
        rejects_by_reason: Reason -> lines.
        first_refused: Reason -> first line refused for it.
        refused_path: File with all refused lines; None as long as the manifest was not read into its catalog.
        corrections: Source set -> correction of its onsets, as settings say.
        hits: Number of hits of the kept events.
        clips: Number of clips that an export would write.
        missing_audio: Number of events whose file cannot be had.
        unreadable_audio: Number of events whose file cannot be read.
        past_end: Number of events at or after the end of their file, or whose clip reaches into what is missing of it.
        seconds_by_source: Source set -> split -> seconds of clips.
        estimated_bytes: Room that an export would take at most.
        free_bytes: Room that there is.
        lost_files: Files that cost events, the dearest first.
        short: Files of which a part is missing.
        hidden: Files that hide another of the same path and of other content in a later root.
        noted_files: Files that can be used, and of which there is something to know.
        hidden_files: Files that hide another.
        duplicates: Files of the same content, as far as digests are known.
        roots: Roots, each with whether it is mounted.
    """

    key: str
    read: int
    kept: int
    rejected: int
    rejects_by_reason: Mapping[str, int]
    first_refused: Mapping[str, FirstRefused]
    refused_path: str | None
    corrections: Mapping[str, Mapping[str, float]]
    hits: int
    clips: int
    missing_audio: int
    unreadable_audio: int
    past_end: int
    seconds_by_source: Mapping[str, Mapping[str, float]]
    estimated_bytes: int
    free_bytes: int
    lost_files: tuple[LostFile, ...]
    short: int
    hidden: int
    noted_files: tuple[NotedFile, ...]
    hidden_files: tuple[HiddenFile, ...]
    duplicates: CopiedFiles
    roots: tuple[RootStatus, ...]

    def to_json(self) -> JsonObject:
        """Return the result as `--json` prints it."""
        return to_json(self)


def verify_manifest(
    settings: Settings,
    ref: str | Path,
    *,
    limit: int | None = None,
    deep: bool = False,
    progress: Progress | None = None,
) -> VerifyResult:
    """Return what an export of a manifest would hold.

    Writes nothing into the data root; only what a deep look learned of each file is remembered there, as hours may have
    gone into it.

    Args:
        settings: Roots to look in, and shape of the clips.
        ref: Manifest: a path or a known key.
        limit: Number of lines at the start of the manifest to look at; all by default.
        deep: True to decode every audio file whole, and take its digest.
        progress: Receiver of the number of lines read and files looked at.

    Raises:
        ManifestError: The manifest cannot be used.
        AudioError: A drive failed or vanished on the way.
    """
    progress, spec = progress or SilentProgress(), ClipSpec.of(settings)
    with tempfile.TemporaryDirectory(prefix="beatsight-verify-") as folder:
        catalog = build_catalog(settings, ref, limit=limit, folder=Path(folder) / "catalog", progress=progress)
        inventory = survey_audio(settings, catalog, deep=deep, remember=deep, progress=progress)
        counted = _clips(catalog, inventory, spec)
        refused = refused_figures(catalog.summary.to_json(), catalog.rejected_path)
        audio = inventory.figures()
    seconds: dict[str, dict[str, float]] = {name: {} for name in inventory.files["source_set"].unique().sort()}
    for source_set, split, _, frames in counted.iter_rows():
        seconds[source_set][split] = round(frames / spec.window.rate_hz, 3)
    clips, frames = int(counted["clips"].sum()), int(counted["frames"].sum())
    summary = catalog.summary
    return VerifyResult(
        key=summary.key,
        read=summary.read,
        kept=summary.kept,
        rejected=summary.rejected,
        rejects_by_reason=summary.rejects_by_reason,
        hits=summary.hits,
        first_refused=refused.first,
        refused_path=_kept_refusals(settings, summary.key),
        corrections=dict(summary.corrections),
        clips=clips,
        missing_audio=audio.missing_events,
        unreadable_audio=audio.unreadable_events,
        past_end=audio.events_past_end,
        seconds_by_source=seconds,
        estimated_bytes=estimated_bytes(2 * frames + WAV_HEADER_BYTES * clips, clips, audio.ok),
        free_bytes=free_bytes(settings.shards_dir),
        lost_files=audio.lost_files,
        short=audio.short,
        hidden=audio.hidden,
        noted_files=audio.noted_files,
        hidden_files=audio.hidden_files,
        duplicates=audio.duplicates,
        roots=audio.roots,
    )


def _kept_refusals(settings: Settings, key: str) -> str | None:
    """The list of refused lines in the catalog of the data root, if there is one of this manifest."""
    path = settings.catalog_folder(key) / REJECTED
    return str(path) if path.is_file() else None


def _clips(catalog: Catalog, inventory: Inventory, spec: ClipSpec) -> pl.DataFrame:
    """source_set, split, clips, frames: hits that get a clip of a readable file, and the samples of their clips."""
    file = ["source_set", "audio_path"]
    known = [*file, "sample_rate", "frames", "promised"]
    readable = inventory.files.lazy().filter(pl.col("status") == Status.OK).select(known)
    hits = pl.scan_parquet(catalog.hits_path, glob=False).select(*file, "onset_time", "split")
    if spec.fixed_length:
        hits = hits.with_columns(clip=pl.lit(spec.window.frames, pl.Int64), tail=pl.lit(spec.window.tail, pl.Int64))
    else:
        windows = hit_windows(catalog, spec.window).astype(np.int64)
        hits = hits.with_columns(clip=pl.Series(windows.sum(axis=1)), tail=pl.Series(windows[:, 1]))
    hits = hits.join(readable, on=file)
    place = (pl.col("onset_time") * pl.col("sample_rate") + 0.5).floor()
    needed = -(-pl.col("tail") * pl.col("sample_rate").cast(pl.Int64) // spec.window.rate_hz)
    whole = pl.col("promised").is_null()
    inside = pl.when(whole).then(place < pl.col("frames")).otherwise(place + needed <= pl.col("frames"))
    counted = hits.filter(inside).group_by("source_set", "split").agg(clips=pl.len(), frames=pl.sum("clip"))
    return counted.sort("source_set", "split").collect(engine="streaming")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check whether a dataset, and the catalog it was made from, are whole.

    Attributes:
        key: Key of the manifest.
        checked: Number of shards looked at.
        broken: Paths of shards, indexes and the catalog's files whose bytes are not those recorded.
        missing: Paths of shards that are gone.
        healed: Number of files that were made again.
    """

    key: str
    checked: int
    broken: tuple[str, ...]
    missing: tuple[str, ...]
    healed: int = 0

    DERIVED: ClassVar[tuple[str, ...]] = ("passed",)

    @property
    def passed(self) -> bool:
        """Whether all was whole, or is again."""
        return len(self.broken) + len(self.missing) == self.healed

    def to_json(self) -> JsonObject:
        """Return the result, with its verdict, as `--json` prints it."""
        return to_json(self)


def check_dataset(settings: Settings, key: str, heal: bool = False, *, progress: Progress | None = None) -> CheckResult:
    """Read every byte of a dataset and its catalog again and compare it with what was recorded.

    Args:
        settings: Settings that say where the dataset is.
        key: Key of the manifest.
        heal: True to delete what is broken and export again: only that is made anew.
        progress: Receiver of the number of shards checked.

    Raises:
        DatasetError: Nothing was exported.
        StorageError: The drive failed.
    """
    paths = index_paths(settings, key)
    if not paths:
        raise DatasetError(f"There is no dataset of {key}", where=settings.dataset_dir, do="export it first")
    entries: dict[str, ShardEntry] = {}
    broken = broken_files(settings.catalog_folder(key))
    for path in paths:
        try:
            index = read_index(path)
        except DatasetError:
            broken.append(path)
            continue
        entries |= {entry.digest: entry for entry in index.shards}
        if path.read_bytes() != json_bytes(index.to_json()):  # the seal knows nothing of a line end that is gone
            broken.append(path)
    missing: list[Path] = []
    with (progress or SilentProgress()).task("check", total=len(entries), unit="shards") as task:
        for digest, entry in entries.items():
            path = settings.shards_dir / shard_name(digest)
            if not path.exists():
                missing.append(path)
            elif path.stat().st_size != entry.bytes or sha256_file(path) != entry.sha256:
                broken.append(path)
            task.advance(1, broken=len(broken), missing=len(missing))
    healed = _heal(settings, key, broken, missing, progress) if heal and (broken or missing) else 0
    return CheckResult(key, len(entries), tuple(map(str, broken)), tuple(map(str, missing)), healed)


def _source_sets(indexes: list[Path]) -> list[str] | None:
    """The source sets of a dataset's indexes; None, for all, if one is damaged and its name tells only a beginning."""
    names = []
    for path in indexes:
        try:
            names.append(read_index(path).source_set)
        except DatasetError:
            name = unquote(path.stem)
            if file_name(name) != path.stem:
                return None
            names.append(name)
    return names


def _heal(settings: Settings, key: str, broken: list[Path], missing: list[Path], progress: Progress | None) -> int:
    """Export again without what is broken; returns how many of the lost files are whole now."""
    source_sets = _source_sets(index_paths(settings, key))
    ref: str | Path = key
    if any(path.parent == settings.catalog_folder(key) for path in broken):
        ref = resolve_manifest(settings, key)  # as long as the catalog can say where it lies
    for path in broken:
        path.unlink(missing_ok=True)
    export_dataset(settings, ref, source_sets=source_sets, limit=split_limit(key)[1], progress=progress)
    return sum(path.exists() for path in (*broken, *missing))

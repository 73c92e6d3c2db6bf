"""The catalog of a manifest: the files of its folder, and its summary."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beatsight_core.errors import DatasetError
from beatsight_core.files import digest_json, json_bytes, read_json, sha256_file
from beatsight_core.leftovers import is_temporary
from beatsight_core.manifest.identity import SUMMARY
from beatsight_core.manifest.shifts import Shifts
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import taxonomy_named
from beatsight_core.typed_json import JsonObject, to_json

FORMAT = 3
"""Grows with any change of what a catalog holds or of how events become hits."""

EVENTS, HITS, REJECTED = "events.parquet", "hits.parquet", "rejected.jsonl"
CHUNKS, SESSIONS = "chunks.jsonl", "sessions.parquet"


@dataclass(frozen=True)
class CatalogSummary:
    """The numbers of a catalog: `summary.json`, written last.

    Attributes:
        key: Key of the manifest.
        manifest: Path of its file.
        sha256: Checksum of that file.
        bytes: Size of that file.
        limit: Most lines that were read, or None.
        inputs: Digest of all that determines the catalog.
        source_sets: Source sets whose settings matter: those of events, and those that name unknown labels.
        read: Lines that are not blank; `kept` + `rejected`.
        kept: Number of events.
        rejected: Lines that are not events.
        rejects_by_reason: Reason -> lines.
        hits: Hits made of the events.
        sessions: Different session ids.
        files: Different audio files.
        events_by_source: Source set -> events.
        hits_by_source: Source set -> hits.
        hits_by_split: Split (train, val, calibration) -> hits.
        events_by_label: Component -> strokes in events, negative examples included.
        hits_by_label: Component -> hits.
        techniques: Technique -> events.
        split_notes: Source sets that could not be split as they ask for.
        duplicates: Events that repeat session, onset and components of another.
        unknown_labels: Label that the taxonomy lacks -> components, those of rejected lines too.
        corrections: Source set -> correction of its onsets (`shifts.Shifts.corrections`); left out where there was
            none.
        sizes: Bytes of each other file of the folder.
        sha256s: Checksum of each of these files.
    """

    key: str
    manifest: str
    sha256: str
    bytes: int
    limit: int | None
    inputs: str
    source_sets: tuple[str, ...]
    read: int
    kept: int
    rejected: int
    rejects_by_reason: dict[str, int]
    hits: int
    sessions: int
    files: int
    events_by_source: dict[str, int]
    hits_by_source: dict[str, int]
    hits_by_split: dict[str, int]
    events_by_label: dict[str, int]
    hits_by_label: dict[str, int]
    techniques: dict[str, int]
    split_notes: list[str]
    duplicates: int
    unknown_labels: dict[str, int]
    sizes: dict[str, int]
    sha256s: dict[str, str]
    corrections: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return all of it, for `--json`, metadata and `summary.json`; `seal` covers every other value."""
        body = to_json(self)
        if not self.corrections:
            del body["corrections"]
        return body | {"seal": digest_json(body)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "CatalogSummary":
        """Return the summary that a file holds: the reverse of `to_json`.

        Raises:
            TypeError, KeyError: Something is missing or too much.
            ValueError: The seal does not match.
        """
        body = {name: entry for name, entry in value.items() if name != "seal"}
        if value["seal"] != digest_json(body):
            raise ValueError("the seal does not match")
        return cls(**body | {"source_sets": tuple(body["source_sets"])})


@dataclass(frozen=True)
class Catalog:
    """A catalog on disk.

    Attributes:
        key: Key of the manifest.
        folder: Folder of its files.
        summary: Summary of what it holds.
    """

    key: str
    folder: Path
    summary: CatalogSummary

    @property
    def events_path(self) -> Path:
        """The events, in the order of lines."""
        return self.folder / EVENTS

    @property
    def hits_path(self) -> Path:
        """The hits, by source set, audio file and onset."""
        return self.folder / HITS

    @property
    def rejected_path(self) -> Path:
        """The lines that are not events: line, offset, reason, message."""
        return self.folder / REJECTED

    @property
    def chunks_path(self) -> Path:
        """The record of what each chunk of the manifest held, for when it grows: see `growth`."""
        return self.folder / CHUNKS

    @property
    def sessions_path(self) -> Path:
        """The sessions and their weights: see `sampling`."""
        return self.folder / SESSIONS

    @property
    def source_sets(self) -> tuple[str, ...]:
        """The source sets that have events, sorted."""
        return tuple(sorted(self.summary.events_by_source))


def open_catalog(settings: Settings, key: str) -> Catalog:
    """Open the catalog of a manifest.

    Raises:
        DatasetError: No catalog has that key, or it is not whole.
    """
    folder = settings.catalog_folder(key)
    if not (folder / SUMMARY).is_file():
        raise DatasetError(
            f"There is no catalog {key!r}", where=folder, do="run `beatsight verify` or export the manifest"
        )
    return read_catalog(folder)


def list_catalogs(settings: Settings) -> list[Catalog]:
    """List all catalogs that are whole, by key; one that is not hides no other."""
    found = []
    for summary in settings.catalog_dir.glob(f"*/{SUMMARY}"):
        if is_temporary(summary.parent, is_catalog):
            continue
        try:
            found.append(read_catalog(summary.parent))
        except (DatasetError, OSError):
            continue
    return sorted(found, key=lambda catalog: catalog.key)


def sources_of_catalogs(settings: Settings) -> set[str]:
    """Name the source sets of all catalogs that are there."""
    return {name for catalog in list_catalogs(settings) for name in catalog.source_sets}


def read_catalog(folder: Path) -> Catalog:
    """Open the catalog in a folder.

    Raises:
        DatasetError: The catalog is not whole.
    """
    summary = _read_summary(folder)
    sizes = {name: _size(folder / name) for name in summary.sizes}
    if sizes != summary.sizes:
        raise _not_whole(folder)
    return Catalog(summary.key, folder, summary)


def is_catalog(folder: Path) -> bool:
    """Return whether a folder holds the catalog of the manifest that its name says, and is no leftover of another."""
    try:
        return bool(read_json(folder / SUMMARY)["key"] == folder.name)
    except (DatasetError, OSError, TypeError, KeyError):
        return False


def broken_files(folder: Path) -> list[Path]:
    """Return the files of a catalog whose bytes are not those that were written; nothing if there is no catalog.

    Raises:
        StorageError: The drive failed.
    """
    if not (folder / SUMMARY).exists():
        return []
    try:
        summary = _read_summary(folder)
    except DatasetError:
        return [folder / SUMMARY]
    broken = []
    if (folder / SUMMARY).read_bytes() != json_bytes(summary.to_json()):
        broken.append(folder / SUMMARY)
    for name, sha256 in summary.sha256s.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            broken.append(path)
    return broken


def _read_summary(folder: Path) -> CatalogSummary:
    value = read_json(folder / SUMMARY)
    try:
        return CatalogSummary.from_json(value)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise _not_whole(folder) from error


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _not_whole(folder: Path) -> DatasetError:
    return DatasetError(
        "A catalog is not whole or was made by another version",
        where=folder,
        do="delete the folder and run the same command again",
    )


def catalog_inputs(settings: Settings, sha256: str, limit: int | None, source_sets: Iterable[str]) -> str:
    """Return the digest of all that determines a catalog: the manifest's content, and the settings that bear on it.

    Raises:
        SettingsError: A file of shifts cannot be used.
    """
    taxonomy, dataset = taxonomy_named(settings.taxonomy), settings.dataset
    source_sets = sorted(set(source_sets))
    shifts = Shifts.from_settings(settings)
    moved = {name: identity for name in source_sets if (identity := shifts.identity(name)) is not None}
    sources = {
        name: [source.licence, source.coalesce_ms, list(source.split_by), source.unknown_labels]
        for name, source in ((name, settings.source(name)) for name in source_sets)
    }
    return digest_json(
        {
            "format": FORMAT,
            "sha256": sha256,
            "limit": limit,
            "taxonomy": {**taxonomy.identity, "aliases": taxonomy.aliases},
            "val_ratio": dataset.val_ratio,
            "calibration_ratio": dataset.calibration_ratio,
            "sources": sources,
            **({"shifts": moved} if moved else {}),
        }
    )


def is_current(settings: Settings, summary: CatalogSummary) -> bool:
    """Return whether a catalog is what these settings would make of its manifest."""
    return summary.inputs == catalog_inputs(settings, summary.sha256, summary.limit, summary.source_sets)

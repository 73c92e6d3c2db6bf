"""A survey of the disks: every dataset, shard, feature file and leftover, as the folders say. Reads no shard."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from beatsight_core.dataset.index import Index, ShardEntry, dataset_digest, index_files, read_index
from beatsight_core.errors import DatasetError
from beatsight_core.files import DIGEST_HEX, storage_errors
from beatsight_core.health.figures.measured_shards import FOLDER as MEASURED
from beatsight_core.leftovers import find_leftovers, is_temporary
from beatsight_core.manifest.identity import manifest_key, resolve_manifest
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings

_DIGEST = re.compile(rf"[0-9a-f]{{{DIGEST_HEX}}}")
_SHARD_FILE = re.compile(rf"({_DIGEST.pattern})\.parquet")
_MEASURED_FILE = re.compile(rf"({_DIGEST.pattern})-[-0-9a-z]+\.parquet")
_FEATURE_FILE = re.compile(rf"({_DIGEST.pattern})\..+")


@dataclass(frozen=True, slots=True)
class StoredDataset:
    """A dataset on disk: the indexes of a manifest.

    Attributes:
        key: Key of the manifest.
        folder: Folder of its indexes.
        indexes: Indexes, one per source set, by name.
        damaged: Indexes that cannot be read: nobody knows which shards they name.
        made: Time at which the newest of its indexes was written.
    """

    key: str
    folder: Path
    indexes: tuple[Index, ...]
    damaged: tuple[Path, ...]
    made: datetime

    @property
    def digest(self) -> str:
        """The digest of what it holds."""
        return dataset_digest(self.indexes)

    @property
    def shards(self) -> dict[str, ShardEntry]:
        """Digest -> entry of every shard that it names."""
        return {entry.digest: entry for index in self.indexes for entry in index.shards}


@dataclass(frozen=True, slots=True)
class CachedFeatures:
    """A file of the features of a shard under a spec."""

    path: Path
    spec: str
    shard: str
    bytes: int


@dataclass(frozen=True)
class StorageSurvey:
    """The content of the storage.

    Attributes:
        datasets: Datasets, by key.
        shards: Digest -> bytes of every shard's file.
        features: Files of the feature cache.
        leftovers: Leftovers of killed writers -> their bytes.
        measured: File of measurements -> the shard or index that they are of, and the file's bytes.
    """

    datasets: tuple[StoredDataset, ...]
    shards: dict[str, int]
    features: tuple[CachedFeatures, ...]
    leftovers: dict[Path, int]
    measured: dict[Path, tuple[str, int]]

    @cached_property
    def users(self) -> dict[str, frozenset[str]]:
        """Shard -> keys of the datasets that name it."""
        named: dict[str, set[str]] = {}
        for dataset in self.datasets:
            for digest in dataset.shards:
                named.setdefault(digest, set()).add(dataset.key)
        return {digest: frozenset(keys) for digest, keys in named.items()}

    @cached_property
    def measurable(self) -> frozenset[str]:
        """Digests that measurements may be of: the shards that datasets name, and each source set as a whole."""
        return frozenset(self.users) | {index.digest for dataset in self.datasets for index in dataset.indexes}

    @cached_property
    def feature_bytes(self) -> dict[str, int]:
        """Shard -> bytes of its features under all specs."""
        sizes: dict[str, int] = {}
        for file in self.features:
            sizes[file.shard] = sizes.get(file.shard, 0) + file.bytes
        return sizes


def survey(settings: Settings) -> StorageSurvey:
    """Return everything that the storage holds, as the folders say.

    Raises:
        StorageError: A folder cannot be read.
    """
    shard_folders = [Path(entry.path) for entry in _entries(settings.shards_dir) if entry.is_dir()]
    spec_folders = [Path(entry.path) for entry in _entries(settings.cache_dir) if _DIGEST.fullmatch(entry.name)]
    measured_folders = [Path(entry.path) for entry in _entries(settings.catalog_dir / MEASURED) if entry.is_dir()]
    datasets = tuple(_datasets(settings))
    looked_into = [*shard_folders, *spec_folders, *measured_folders, *(dataset.folder for dataset in datasets)]
    return StorageSurvey(
        datasets=datasets,
        shards={
            match[1]: size
            for folder in shard_folders
            for path, size in _files(folder)
            if (match := _SHARD_FILE.fullmatch(path.name)) and path.name.startswith(folder.name)
        },
        features=tuple(
            CachedFeatures(path, folder.name, match[1], size)
            for folder in spec_folders
            for path, size in _files(folder)
            if (match := _FEATURE_FILE.fullmatch(path.name)) and not is_temporary(path)
        ),
        leftovers={path: _size(path) for folder in looked_into for path in sorted(find_leftovers(folder))},
        measured={
            path: (match[1], size)
            for folder in measured_folders
            for path, size in _files(folder)
            if (match := _MEASURED_FILE.fullmatch(path.name))
        },
    )


def find_dataset(settings: Settings, stored: StorageSurvey, ref: str) -> StoredDataset:
    """Return the dataset of a reference: its key, a beginning of it that fits no other, or its manifest.

    Raises:
        DatasetError: No dataset fits, or several do.
        ManifestError: The reference names no manifest either.
    """
    known = {dataset.key: dataset for dataset in stored.datasets}
    fitting = [key for key in known if ref and key.startswith(ref)]
    if ref in known or len(fitting) == 1:
        return known[ref if ref in known else fitting[0]]
    if fitting:
        raise DatasetError(f"{ref!r} fits {len(fitting)} datasets", do=f"name one of: {', '.join(fitting)}")
    key = manifest_key(resolve_manifest(settings, ref))
    if key in known:
        return known[key]
    raise DatasetError(
        f"There is no dataset of {key}",
        where=settings.dataset_dir,
        why=f"there are {', '.join(known)}" if known else "nothing was exported yet",
        do=f"beatsight export {for_shell(key)}",
    )


def _datasets(settings: Settings) -> Iterator[StoredDataset]:
    for entry in sorted(_entries(settings.dataset_dir), key=lambda entry: entry.name):
        folder = Path(entry.path)
        paths = index_files(folder) if entry.is_dir() and folder != settings.shards_dir else []
        if not paths:
            continue
        indexes, damaged = [], []
        for path in paths:
            try:
                indexes.append(read_index(path))
            except DatasetError:
                damaged.append(path)
        key = indexes[0].manifest if indexes else unquote(folder.name)
        written = max(path.stat().st_mtime for path in paths)
        indexes.sort(key=lambda index: index.source_set)
        yield StoredDataset(key, folder, tuple(indexes), tuple(damaged), datetime.fromtimestamp(written, UTC))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with storage_errors(folder):
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except FileNotFoundError:
            return []


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Each file of a folder and its bytes; one that vanishes meanwhile is none."""
    for entry in _entries(folder):
        with contextlib.suppress(FileNotFoundError):
            if entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.stat().st_size


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; of a link those of the link."""
    if path.is_dir() and not path.is_symlink():
        return sum(_size(child) for child in path.iterdir())
    with contextlib.suppress(FileNotFoundError):
        return path.lstat().st_size
    return 0

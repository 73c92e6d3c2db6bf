"""The files of the cache that a dataset needs, and those of them that have to be made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.dataset.reader import Dataset, Shard
from beatsight_core.errors import DatasetError
from beatsight_core.features.shard_file import open_shard, shard_identity, shard_path
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class CacheFile:
    """One file of the cache: the features of one shard.

    Attributes:
        shard: Shard of the dataset.
        sha256: Digest of that shard's file, as the dataset's index recorded it.
        path: Path of the file, which need not be there yet.
        identity: Metadata that its header must hold.
    """

    shard: Shard
    sha256: str
    path: Path
    identity: dict[str, str]


def feature_files(settings: Settings, dataset: Dataset, spec: FeatureSpec, taxonomy: Taxonomy) -> list[CacheFile]:
    """Return the files that the dataset needs, in the order of its shards."""
    recorded = {entry.digest: entry.sha256 for index in dataset.indexes for entry in index.shards}
    files: dict[Path, CacheFile] = {}
    for shard in dataset.shards:
        path = shard_path(settings, spec, taxonomy, shard.digest)
        identity = shard_identity(spec, taxonomy, shard.digest, shard.rows)
        files.setdefault(path, CacheFile(shard, recorded[shard.digest], path, identity))
    return list(files.values())


def lacking(files: Sequence[CacheFile], spec: FeatureSpec) -> list[CacheFile]:
    """Return the files that are missing, or have a wrong length or header. Not every byte is looked at."""
    return [file for file in files if not is_whole(file, spec)]


def is_whole(file: CacheFile, spec: FeatureSpec, *, verify: bool = False) -> bool:
    """Return whether a shard has its features; with `verify`, every byte of them is compared."""
    try:
        open_shard(file.path, spec, file.identity, verify=verify)
    except DatasetError:
        return False
    return True

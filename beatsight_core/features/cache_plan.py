"""Which file of the cache belongs to which shard of a dataset, and which of these files want making."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.dataset.reader import Dataset, Shard
from beatsight_core.errors import DatasetError
from beatsight_core.features.cache import shard_path
from beatsight_core.features.shard_file import open_shard, shard_identity
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Job:
    """The features of one shard.

    Attributes:
        shard: What they are of.
        sha256: Of that shard's file, as the dataset's index recorded it.
        path: Where they lie, or will.
        identity: What their header says.
    """

    shard: Shard
    sha256: str
    path: Path
    identity: dict[str, str]


def jobs_of(settings: Settings, dataset: Dataset, spec: FeatureSpec, taxonomy: Taxonomy) -> list[Job]:
    """One for each file that the dataset needs, in the order of its shards."""
    recorded = {entry.digest: entry.sha256 for index in dataset.indexes for entry in index.shards}
    jobs: dict[Path, Job] = {}
    for shard in dataset.shards:
        path = shard_path(settings, spec, taxonomy, shard.digest)
        identity = shard_identity(spec, taxonomy, shard.digest, shard.rows)
        jobs.setdefault(path, Job(shard, recorded[shard.digest], path, identity))
    return list(jobs.values())


def lacking(jobs: Sequence[Job], spec: FeatureSpec) -> list[Job]:
    """Those that are not there, or have another length or header than they must. Not every byte is looked at."""
    return [job for job in jobs if not is_whole(job, spec)]


def is_whole(job: Job, spec: FeatureSpec, *, verify: bool = False) -> bool:
    """Whether a shard has its features; with `verify`, every byte of them is compared."""
    try:
        open_shard(job.path, spec, job.identity, verify=verify)
    except DatasetError:
        return False
    return True

"""Whether the cache of a dataset is whole, byte for byte; and making again what is not."""

from collections.abc import Sequence
from pathlib import Path

from beatsight_core.dataset.index import dataset_key
from beatsight_core.dataset.reader import open_dataset
from beatsight_core.dataset.verify_export import CheckResult
from beatsight_core.features.build import build_features
from beatsight_core.features.cache_plan import is_whole, jobs_of
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import storage_errors
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import taxonomy_named


def check_features(
    settings: Settings,
    ref: str | Path,
    heal: bool = False,
    *,
    source_sets: Sequence[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> CheckResult:
    """Read every byte of a dataset's features and compare it with the digest in its file.

    Args:
        settings: Say which spec, taxonomy and folders.
        ref: Manifest path, name or key.
        heal: Make again what is broken or missing, and only that.
        source_sets: Only these; all that the dataset has by default.
        device: Where to make it.
        progress: Hears of each shard.

    Raises:
        DatasetError: The dataset is not exported; or, to heal, a shard of it is itself broken.
        DeviceError: The device is not there.
        StorageError: The drive failed.
    """
    dataset = open_dataset(settings, dataset_key(settings, ref), source_sets)
    spec = FeatureSpec.from_settings(settings)
    jobs = jobs_of(settings, dataset, spec, taxonomy_named(settings.taxonomy))
    broken, missing = [], []
    with (progress or SilentProgress()).task(f"check features {dataset.key}", len(jobs), "shards") as task:
        for job in jobs:
            if not job.path.exists():
                missing.append(job)
            elif not is_whole(job, spec, verify=True):
                broken.append(job)
            task.advance(1, broken=len(broken), missing=len(missing))
    lost = [*broken, *missing]
    if heal and lost:
        for job in broken:
            with storage_errors(job.path):
                job.path.unlink(missing_ok=True)
        build_features(settings, dataset.key, source_sets=source_sets, device=device, progress=progress)
    return CheckResult(
        key=dataset.key,
        checked=len(jobs),
        broken=tuple(str(job.path) for job in broken),
        missing=tuple(str(job.path) for job in missing),
        healed=sum(is_whole(job, spec, verify=True) for job in lost) if heal else 0,
    )

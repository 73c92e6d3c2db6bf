"""The check of a dataset's cache, byte for byte; what is broken is made again."""

from collections.abc import Sequence
from pathlib import Path

from beatsight_core.dataset.index import dataset_key
from beatsight_core.dataset.reader import open_dataset
from beatsight_core.dataset.verify_export import CheckResult
from beatsight_core.features.build import build_features
from beatsight_core.features.cache_plan import feature_files, is_whole
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
        settings: Settings with spec, taxonomy and folders.
        ref: Path, name or key of the manifest.
        heal: Request to make again what is broken or missing, and only that.
        source_sets: Source sets to check; all that the dataset has by default.
        device: Name of the device to make it on.
        progress: Progress view that receives the number of shards checked.

    Raises:
        DatasetError: The dataset is not exported; or, to heal, a shard of it is itself broken.
        DeviceError: The device is not there.
        StorageError: The drive failed.
    """
    dataset = open_dataset(settings, dataset_key(settings, ref), source_sets)
    spec = FeatureSpec.from_settings(settings)
    files = feature_files(settings, dataset, spec, taxonomy_named(settings.taxonomy))
    broken, missing = [], []
    with (progress or SilentProgress()).task(f"check features {dataset.key}", len(files), "shards") as task:
        for file in files:
            if not file.path.exists():
                missing.append(file)
            elif not is_whole(file, spec, verify=True):
                broken.append(file)
            task.advance(1, broken=len(broken), missing=len(missing))
    lost = [*broken, *missing]
    if heal and lost:
        for file in broken:
            with storage_errors(file.path):
                file.path.unlink(missing_ok=True)
        build_features(settings, dataset.key, source_sets=source_sets, device=device, progress=progress)
    return CheckResult(
        key=dataset.key,
        checked=len(files),
        broken=tuple(str(file.path) for file in broken),
        missing=tuple(str(file.path) for file in missing),
        healed=sum(is_whole(file, spec, verify=True) for file in lost) if heal else 0,
    )

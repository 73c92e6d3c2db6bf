"""Warming the cache: every shard of a dataset that has no features under the current settings gets them.

One thread reads the next shard and one writes the last while the transform works on the present one.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from beatsight_core.dataset.reader import Dataset, Shard, open_dataset, shard_audio
from beatsight_core.errors import DatasetError
from beatsight_core.features.cache import hit_id_matrix, label_matrix, shard_path
from beatsight_core.features.device import torch_device
from beatsight_core.features.shard_file import open_shard, shard_identity, write_shard
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import remove_leftovers, write_json
from beatsight_core.manifest.identity import manifest_key, resolve_manifest
from beatsight_core.progress import Progress, SilentProgress, Task
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import Taxonomy, taxonomy_named

logger = logging.getLogger("beatsight")


@dataclass(frozen=True)
class FeatureResult:
    """What warming a dataset's cache did.

    Attributes:
        key: Of the manifest.
        spec: Digest of the feature spec.
        folder: Where the files lie.
        clips: Hits covered.
        bytes: Size of their files.
        shards_written: Made now.
        shards_reused: There already.
        seconds: Time it took.
        coverage: Share of the dataset's hits with features: 1.0.
    """

    key: str
    spec: str
    folder: Path
    clips: int
    bytes: int
    shards_written: int
    shards_reused: int
    seconds: float
    coverage: float

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-safe."""
        return {**asdict(self), "folder": str(self.folder)}


@dataclass(frozen=True)
class _Job:
    """One shard to compute: its rows in the dataset's order begin at `start`."""

    shard: Shard
    start: int
    path: Path
    identity: dict[str, str]


def build_features(
    settings: Settings,
    ref: str | Path,
    *,
    source_sets: Sequence[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> FeatureResult:
    """Make the features that a dataset lacks. Killed at any moment, the same command goes on where it was.

    Args:
        settings: Say which spec, taxonomy and folders.
        ref: Manifest path, name or key.
        source_sets: Only these; all that the dataset has by default.
        device: Where to compute: auto, cpu, cuda, cuda:<n>.
        progress: Hears of clips done.

    Raises:
        DatasetError: The dataset is not exported, or its clips are of another length than the settings say.
        DeviceError: The device is not there.
        StorageError: The drive is full, read-only, or gone.
    """
    began = time.monotonic()
    dataset = open_dataset(settings, dataset_key(settings, ref), source_sets)
    spec, taxonomy = FeatureSpec.from_settings(settings), taxonomy_named(settings.taxonomy)
    folder = settings.cache_dir / spec.digest
    jobs, reused = _plan(settings, dataset, spec, taxonomy)
    hits = sum(job.shard.rows for job in jobs)
    if jobs:
        if not (folder / "spec.json").exists():
            write_json(folder / "spec.json", spec.to_json())
        remove_leftovers(folder)
        with (progress or SilentProgress()).task(f"features {dataset.key}", hits, "clips") as task:
            _compute_all(dataset, jobs, (spec, taxonomy), device, task)
    paths = [shard_path(settings, spec, taxonomy, shard.digest) for shard in dataset.shards]
    return FeatureResult(
        key=dataset.key,
        spec=spec.digest,
        folder=folder,
        clips=sum(shard.rows for shard in dataset.shards),
        bytes=sum(path.stat().st_size for path in set(paths)),
        shards_written=len(jobs),
        shards_reused=reused,
        seconds=time.monotonic() - began,
        coverage=1.0,
    )


def dataset_key(settings: Settings, ref: str | Path) -> str:
    """The manifest key that a reference stands for: a known key as it is, a path or name by the file's content."""
    text = str(ref)
    if "/" not in text and (settings.dataset_dir / text).is_dir():
        return text
    return manifest_key(resolve_manifest(settings, ref))


def _plan(settings: Settings, dataset: Dataset, spec: FeatureSpec, taxonomy: Taxonomy) -> tuple[list[_Job], int]:
    """The shards to compute, and how many need it not. A broken file is removed here, so that it is made again."""
    jobs: list[_Job] = []
    planned: set[Path] = set()
    start = reused = 0
    for shard in dataset.shards:
        path = shard_path(settings, spec, taxonomy, shard.digest)
        identity = shard_identity(spec, taxonomy, shard.digest, shard.rows)
        if path in planned or _is_whole(path, spec, identity):
            reused += 1
        else:
            planned.add(path)
            jobs.append(_Job(shard, start, path, identity))
        start += shard.rows
    return jobs, reused


def _is_whole(path: Path, spec: FeatureSpec, identity: dict[str, str]) -> bool:
    if not path.exists():
        return False
    try:
        open_shard(path, spec, identity)
    except DatasetError as error:
        logger.warning("features are made again: %s", error)
        path.unlink(missing_ok=True)
        return False
    return True


def _compute_all(
    dataset: Dataset, jobs: list[_Job], recipe: tuple[FeatureSpec, Taxonomy], device: str, task: Task
) -> None:
    from beatsight_core.features.logmel import LogMel, features_of

    spec, taxonomy = recipe
    place = torch_device(device)
    logmel = LogMel(spec).to(place)
    meta = dataset.metadata().select("hit_id", "labels")
    writing: Future[int] | None = None
    with ThreadPoolExecutor(1, "features-write") as writer:
        for job, clips in _read_ahead(jobs):
            _check_clips(clips, spec, job)
            pictures = features_of(logmel, clips, place)
            if writing:
                task.advance(writing.result())  # at most one file waits to be written
            rows = meta.slice(job.start, job.shard.rows)
            writing = writer.submit(_write, job, pictures, rows, taxonomy)
        if writing:
            task.advance(writing.result())


def _read_ahead(jobs: list[_Job]) -> Iterator[tuple[_Job, npt.NDArray[np.int16]]]:
    """Each job with its clips, the next one's being read while this one is worked on."""
    with ThreadPoolExecutor(1, "features-read") as reader:
        following = reader.submit(shard_audio, jobs[0].shard)
        for job, after in zip(jobs, [*jobs[1:], None], strict=True):
            clips = following.result()
            if after:
                following = reader.submit(shard_audio, after.shard)
            yield job, clips


def _write(job: _Job, pictures: npt.NDArray[Any], rows: pl.DataFrame, taxonomy: Taxonomy) -> int:
    write_shard(job.path, job.identity, pictures, label_matrix(rows["labels"], taxonomy), hit_id_matrix(rows))
    return job.shard.rows


def _check_clips(clips: npt.NDArray[np.int16], spec: FeatureSpec, job: _Job) -> None:
    if clips.shape != (job.shard.rows, spec.clip_samples):
        raise DatasetError(
            f"A shard holds {clips.shape[0]} clips of {clips.shape[1]} samples, where settings and index say "
            f"{job.shard.rows} of {spec.clip_samples}",
            where=job.shard.path,
            why="dataset.sample_rate_hz, pre_ms or tail_ms have changed since the export",
            do="export the dataset again, or set them back",
        )

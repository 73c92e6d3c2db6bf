"""Warming the cache: every shard of a dataset that has no features under the current settings gets them.

One thread reads the next shard and one writes the last while the transform works on the present one.
"""

import contextlib
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

from beatsight_core.dataset.in_use import shards_in_use
from beatsight_core.dataset.index import dataset_key
from beatsight_core.dataset.reader import open_dataset, shard_audio
from beatsight_core.errors import DatasetError
from beatsight_core.features.cache import hit_id_matrix, label_matrix
from beatsight_core.features.device import torch_device
from beatsight_core.features.plan import Job, jobs_of, lacking
from beatsight_core.features.shard_file import write_shard
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import exclusive_lock, file_name, remove_leftovers, sha256_file, storage_errors, write_json
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import Taxonomy, taxonomy_named

logger = logging.getLogger("beatsight")

Clips = npt.NDArray[np.int16]


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


def build_features(
    settings: Settings,
    ref: str | Path,
    *,
    source_sets: Sequence[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> FeatureResult:
    """Make the features that a dataset lacks. Killed at any moment, the same command goes on where it was.

    Builders of the same source sets wait for each other, and find each other's work done.

    Args:
        settings: Say which spec, taxonomy and folders.
        ref: Manifest path, name or key.
        source_sets: Only these; all that the dataset has by default.
        device: Where to compute: auto, cpu, cuda, cuda:<n>.
        progress: Hears of clips done.

    Raises:
        DatasetError: The dataset is not exported, a shard of it is broken, or clips are of another length than the
            settings say.
        DeviceError: The device is not there, or has too little memory.
        StorageError: The drive is full, read-only, or gone.
    """
    began = time.monotonic()
    spec, taxonomy = FeatureSpec.from_settings(settings), taxonomy_named(settings.taxonomy)
    folder = settings.cache_dir / spec.digest
    with shards_in_use(settings):
        dataset = open_dataset(settings, dataset_key(settings, ref), source_sets)
        jobs = jobs_of(settings, dataset, spec, taxonomy)
        wanted = lacking(jobs, spec)
        if wanted:
            with _alone(folder, dataset.source_sets):
                wanted = lacking(wanted, spec)  # whoever was here before may have made them
                _make(folder, dataset.key, wanted, (spec, taxonomy, device), progress or SilentProgress())
    with storage_errors(folder):
        size = sum(job.path.stat().st_size for job in jobs)
    return FeatureResult(
        key=dataset.key,
        spec=spec.digest,
        folder=folder,
        clips=len(dataset),
        bytes=size,
        shards_written=len(wanted),
        shards_reused=len(jobs) - len(wanted),
        seconds=time.monotonic() - began,
        coverage=1.0,
    )


@contextlib.contextmanager
def _alone(folder: Path, source_sets: Sequence[str]) -> Iterator[None]:
    """Be the only one who builds these source sets; they are in order, so no two builders wait for each other."""
    with contextlib.ExitStack() as locks:
        for name in source_sets:
            locks.enter_context(exclusive_lock(folder / ".locks" / file_name(name)))
        yield


def _make(
    folder: Path, key: str, jobs: list[Job], recipe: tuple[FeatureSpec, Taxonomy, str], progress: Progress
) -> None:
    if not jobs:
        return
    from beatsight_core.features.logmel import LogMel, features_of

    spec, taxonomy, device = recipe
    place = torch_device(device)
    logmel = LogMel(spec).to(place)
    if not (folder / "spec.json").exists():
        write_json(folder / "spec.json", spec.to_json())
    remove_leftovers(folder)
    broken = [job.path for job in jobs if job.path.exists()]
    if broken:
        logger.warning("%d files of features are broken and made again, the first is %s", len(broken), broken[0])
    hits = sum(job.shard.rows for job in jobs)
    writing: Future[int] | None = None
    with progress.task(f"features {key}", hits, "clips") as task, ThreadPoolExecutor(1, "features-write") as writer:
        for job, clips, rows in _read_ahead(jobs, spec, key):
            pictures = features_of(logmel, clips, place)
            if writing:
                task.advance(writing.result())  # at most one file waits to be written
            writing = writer.submit(_write, job, pictures, rows, taxonomy)
        if writing:
            task.advance(writing.result())


def _read_ahead(jobs: list[Job], spec: FeatureSpec, key: str) -> Iterator[tuple[Job, Clips, pl.DataFrame]]:
    """Each job with its clips and rows, the next one's being read while this one is worked on."""
    with ThreadPoolExecutor(1, "features-read") as reader:
        following = reader.submit(_read, jobs[0], spec, key)
        for job, after in zip(jobs, [*jobs[1:], None], strict=True):
            clips, rows = following.result()
            if after:
                following = reader.submit(_read, after, spec, key)
            yield job, clips, rows


def _read(job: Job, spec: FeatureSpec, key: str) -> tuple[Clips, pl.DataFrame]:
    """A shard's clips, (rows, samples), and its rows' ids and labels.

    Its bytes are compared with what the index recorded: features of damaged audio would bear the name of the whole.
    """
    path = job.shard.path
    if not path.is_file() or sha256_file(path) != job.sha256:
        raise DatasetError(
            "A shard of the dataset is missing or broken, so it gives no features",
            where=path,
            why="its bytes are not those that were exported" if path.is_file() else "there is no such file",
            do=f"beatsight export {key} --heal",
        )
    with storage_errors(path):
        rows = pl.read_parquet(path, columns=["hit_id", "labels", "frames"], glob=False)
    _require_length(rows["frames"], spec, path)
    return shard_audio(job.shard), rows


def _require_length(frames: pl.Series, spec: FeatureSpec, path: Path) -> None:
    others = frames.filter(frames != spec.clip_samples)
    if len(others):
        raise DatasetError(
            f"{len(others)} of {len(frames)} clips of a shard are {others[0]} samples long, not {spec.clip_samples}",
            where=path,
            why="with dataset.fixed_length = false clips are as long as their events ask; a net takes one length only",
            do="set dataset.fixed_length = true and export again",
        )


def _write(job: Job, pictures: npt.NDArray[Any], rows: pl.DataFrame, taxonomy: Taxonomy) -> int:
    with storage_errors(job.path):
        job.path.unlink(missing_ok=True)  # a broken one
    write_shard(job.path, job.identity, pictures, label_matrix(rows["labels"], taxonomy), hit_id_matrix(rows))
    return job.shard.rows

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
from beatsight_core.dataset.reader import open_dataset, shard_parts
from beatsight_core.errors import DatasetError
from beatsight_core.features.cache import hit_id_matrix, label_matrix
from beatsight_core.features.cache_plan import Job, jobs_of, lacking
from beatsight_core.features.device import torch_device
from beatsight_core.features.shard_file import write_shard
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import exclusive_lock, sha256_file, storage_errors, write_json
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.names import lock_names
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import Taxonomy, taxonomy_named

logger = logging.getLogger("beatsight")

PART_BYTES = 12 << 20
"""Samples that are read at once, whatever the size of a shard."""

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
    """Be the only one who builds these source sets; all take locks in one order, so no two wait for each other."""
    with contextlib.ExitStack() as locks:
        for name in lock_names(source_sets):
            locks.enter_context(exclusive_lock(folder / ".locks" / name))
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
    pictures = np.empty(0)
    with progress.task(f"features {key}", hits, "clips") as task, ThreadPoolExecutor(1, "features-write") as writer:
        for part in _read_ahead(_parts(jobs, spec, key)):
            made = features_of(logmel, part.clips, place)
            if part.first == 0:
                pictures = np.empty((part.job.shard.rows, *made.shape[1:]), made.dtype)
            end = part.first + len(made)
            pictures[part.first : end] = made
            if end == len(pictures):
                if writing:
                    task.advance(writing.result())  # at most one file waits to be written
                writing = writer.submit(_write, part.job, pictures, part.rows, taxonomy)
        if writing:
            task.advance(writing.result())


@dataclass(frozen=True, slots=True)
class _Part:
    """Some clips of a shard.

    Attributes:
        job: What they are read for.
        rows: Ids and labels of all rows of the shard.
        first: The row of the first of these clips.
        clips: (n, samples) int16.
    """

    job: Job
    rows: pl.DataFrame
    first: int
    clips: Clips


def _read_ahead(parts: Iterator[_Part]) -> Iterator[_Part]:
    """The parts, the next one being read while the present one is worked on."""
    with ThreadPoolExecutor(1, "features-read") as reader:
        following = reader.submit(next, parts, None)
        while part := following.result():
            following = reader.submit(next, parts, None)
            yield part


def _parts(jobs: list[Job], spec: FeatureSpec, key: str) -> Iterator[_Part]:
    """All shards in parts: a shard is as large as the recording that it holds, and memory shall not be.

    A shard's bytes are compared with what the index recorded: features of damaged audio would bear the name of the
    whole.
    """
    for job in jobs:
        path = job.shard.path
        if not path.is_file() or sha256_file(path) != job.sha256:
            raise DatasetError(
                "A shard of the dataset is missing or broken, so it gives no features",
                where=path,
                why="its bytes are not those that were exported" if path.is_file() else "there is no such file",
                do=f"beatsight export {for_shell(key)} --heal",
            )
        with storage_errors(path):
            rows = pl.read_parquet(path, columns=["hit_id", "labels", "frames"], glob=False)
        _require_length(rows["frames"], spec, path)
        first = 0
        for clips in shard_parts(job.shard, PART_BYTES // (2 * spec.clip_samples)):
            yield _Part(job, rows, first, clips)
            first += len(clips)


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

"""Warming the cache: every shard of a dataset that has no features under the current settings gets them.

One thread reads the next shard and one writes the last while the transform works on the present one. Before features
are made of a shard, its digest is compared, because features of damaged audio would bear the name of the whole. That
costs 6 to 9 % of a build.
"""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from beatsight_core.dataset.in_use import shards_in_use
from beatsight_core.dataset.index import dataset_key
from beatsight_core.dataset.reader import open_dataset, shard_parts
from beatsight_core.errors import DatasetError
from beatsight_core.features.cache import hit_id_matrix, label_matrix
from beatsight_core.features.cache_plan import CacheFile, feature_files, lacking
from beatsight_core.features.device import torch_device
from beatsight_core.features.shard_file import write_shard
from beatsight_core.features.spec import FeatureSpec, StoredArray
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


@dataclass(frozen=True)
class FeatureResult:
    """The result of warming a dataset's cache.

    Attributes:
        key: Key of the manifest.
        spec: Digest of the feature spec.
        folder: Folder of the files.
        clips: Number of hits covered.
        bytes: Size of their files.
        shards_written: Number of shards whose features were made now.
        shards_reused: Number of shards that had features already.
        seconds: Seconds that it took.
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

    def to_json(self) -> dict[str, str | int | float]:
        """Return all attributes, JSON-safe."""
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
        settings: Settings with spec, taxonomy and folders.
        ref: Path, name or key of the manifest.
        source_sets: Source sets to build; all that the dataset has by default.
        device: Name of the device: auto, cpu, cuda, cuda:<n>.
        progress: Progress view that receives the number of clips done.

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
        files = feature_files(settings, dataset, spec, taxonomy)
        wanted = lacking(files, spec)
        if wanted:
            with _alone(folder, dataset.source_sets):
                wanted = lacking(wanted, spec)  # whoever was here before may have made them
                _make(settings, dataset.key, wanted, device, progress or SilentProgress())
    with storage_errors(folder):
        size = sum(file.path.stat().st_size for file in files)
    return FeatureResult(
        key=dataset.key,
        spec=spec.digest,
        folder=folder,
        clips=len(dataset),
        bytes=size,
        shards_written=len(wanted),
        shards_reused=len(files) - len(wanted),
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


def _make(settings: Settings, key: str, files: list[CacheFile], device: str, progress: Progress) -> None:
    if not files:
        return
    from beatsight_core.features.logmel import LogMel, features_of

    spec, taxonomy = FeatureSpec.from_settings(settings), taxonomy_named(settings.taxonomy)
    folder = settings.cache_dir / spec.digest
    chosen = torch_device(device)
    logmel = LogMel(spec).to(chosen)
    if not (folder / "spec.json").exists():
        write_json(folder / "spec.json", spec.to_json())
    remove_leftovers(folder)
    broken = [file.path for file in files if file.path.exists()]
    if broken:
        logger.warning("%d files of features are broken and made again, the first is %s", len(broken), broken[0])
    hits = sum(file.shard.rows for file in files)
    writing: Future[int] | None = None
    spectrograms: StoredArray = np.empty(0, spec.dtype)
    with progress.task(f"features {key}", hits, "clips") as task, ThreadPoolExecutor(1, "features-write") as writer:
        for part in _read_ahead(_parts(files, spec, key)):
            made = features_of(logmel, part.clips, chosen)
            if part.first == 0:
                spectrograms = np.empty((part.file.shard.rows, *made.shape[1:]), made.dtype)
            end = part.first + len(made)
            spectrograms[part.first : end] = made
            if end == len(spectrograms):
                if writing:
                    task.advance(writing.result())  # at most one file waits to be written
                writing = writer.submit(_write, part.file, spectrograms, part.rows, taxonomy)
        if writing:
            task.advance(writing.result())


@dataclass(frozen=True, slots=True)
class _Part:
    """Some clips of a shard.

    Attributes:
        file: File of the cache that they are read for.
        rows: Ids and labels of all rows of the shard.
        first: Row of the first of these clips.
        clips: Samples (n, samples), int16.
    """

    file: CacheFile
    rows: pl.DataFrame
    first: int
    clips: npt.NDArray[np.int16]


def _read_ahead(parts: Iterator[_Part]) -> Iterator[_Part]:
    """The parts, the next one being read while the present one is worked on."""
    with ThreadPoolExecutor(1, "features-read") as reader:
        following = reader.submit(next, parts, None)
        while part := following.result():
            following = reader.submit(next, parts, None)
            yield part


def _parts(files: list[CacheFile], spec: FeatureSpec, key: str) -> Iterator[_Part]:
    """Give all shards in parts: a shard is as large as the recording that it holds, and memory shall not be.

    A shard's bytes are compared with what the index recorded: features of damaged audio would bear the name of the
    whole.
    """
    for file in files:
        path = file.shard.path
        if not path.is_file() or sha256_file(path) != file.sha256:
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
        for clips in shard_parts(file.shard, PART_BYTES // (2 * spec.clip_samples)):
            yield _Part(file, rows, first, clips)
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


def _write(file: CacheFile, spectrograms: StoredArray, rows: pl.DataFrame, taxonomy: Taxonomy) -> int:
    with storage_errors(file.path):
        file.path.unlink(missing_ok=True)  # a broken one
    write_shard(file.path, file.identity, spectrograms, label_matrix(rows["labels"], taxonomy), hit_id_matrix(rows))
    return file.shard.rows

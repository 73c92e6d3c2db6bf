"""A dataset's features opened as one: rows in the order of its shards, 100 % of them or an error."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from beatsight_core.dataset.reader import Dataset, open_dataset
from beatsight_core.errors import DatasetError
from beatsight_core.features.gather import RowGather
from beatsight_core.features.shard_file import (
    HIT_ID_CHARACTERS,
    REBUILD,
    ShardFeatures,
    open_shard,
    shard_identity,
    shard_path,
)
from beatsight_core.features.spec import FeatureSpec, StoredArray
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import Taxonomy, taxonomy_named


@dataclass(frozen=True)
class Features:
    """The features of a dataset, rows in the order of its shards.

    Attributes:
        spec: Recipe of the spectrograms.
        dataset_digest: Digest of the dataset they were made from.
        arrays: Memory maps (rows, n_mels, frames), one per shard, as stored; `spec.to_decibels` decodes.
        targets: Targets (N, classes) of 0 and 1.
        classes: Labels in class order.
        meta: Columns of the dataset, a row per hit.
        offsets: Rows (shards + 1,) at which each array begins, and N.
    """

    spec: FeatureSpec
    dataset_digest: str
    arrays: list[StoredArray]
    targets: npt.NDArray[np.uint8]
    classes: tuple[str, ...]
    meta: pl.DataFrame
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def rows_of(self, split: str) -> npt.NDArray[np.int64]:
        """Return the rows of a split, ascending; all rows for "all"."""
        if split == "all":
            return np.arange(len(self), dtype=np.int64)
        return np.flatnonzero((self.meta["split"] == split).to_numpy()).astype(np.int64)

    @property
    def folders(self) -> list[Path]:
        """The folders of the memory-mapped files; empty for arrays that are in memory."""
        files = [array.filename for array in self.arrays if isinstance(array, np.memmap)]
        return sorted({Path(file).parent for file in files if file is not None})

    def read(self, rows: npt.NDArray[np.int64]) -> StoredArray:
        """Copy spectrograms: (len(rows), n_mels, frames) as stored, in the order of `rows`."""
        return self._spectrograms.take(rows)

    @cached_property
    def _spectrograms(self) -> RowGather:
        return RowGather(self.arrays, (self.spec.n_mels, self.spec.frames), self.spec.dtype)


def open_features(
    settings: Settings, key: str, source_sets: Sequence[str] | None = None, *, verify: bool = False
) -> Features:
    """Open the features of a dataset under the current settings.

    Args:
        settings: Settings with spec and taxonomy.
        key: Key of the manifest.
        source_sets: Source sets to open; all that the dataset has by default.
        verify: Request to read every file and to compare its digest.

    Raises:
        DatasetError: The dataset is not exported, or a shard's features are missing or broken: coverage is 100 % or
            there is nothing to open.
    """
    dataset = open_dataset(settings, key, source_sets)
    spec, taxonomy = FeatureSpec.from_settings(settings), taxonomy_named(settings.taxonomy)
    paths = [shard_path(settings, spec, taxonomy, shard.digest) for shard in dataset.shards]
    _check_coverage(dataset, paths, settings.cache_dir / spec.digest)
    opened = [
        open_shard(path, spec, shard_identity(spec, taxonomy, shard.digest, shard.rows), verify=verify)
        for path, shard in zip(paths, dataset.shards, strict=True)
    ]
    meta = dataset.metadata()
    _check_order(opened, meta, settings.cache_dir / spec.digest)
    return Features(
        spec=spec,
        dataset_digest=dataset.digest,
        arrays=[part.features for part in opened],
        targets=_stacked([part.targets for part in opened], len(taxonomy.components)),
        classes=taxonomy.components,
        meta=meta,
        offsets=np.cumsum([0, *(shard.rows for shard in dataset.shards)], dtype=np.int64),
    )


def label_matrix(labels: pl.Series, taxonomy: Taxonomy) -> npt.NDArray[np.uint8]:
    """Return label lists as a matrix (rows, classes) of 0 and 1, columns in class order.

    Raises:
        DatasetError: A label is not of the taxonomy.
    """
    matrix = np.zeros((len(labels), len(taxonomy.components)), dtype=np.uint8)
    struck = pl.DataFrame({"row": np.arange(len(labels)), "label": labels}).explode("label").drop_nulls("label")
    unknown = sorted(set(struck["label"].unique()) - set(taxonomy.components))
    if unknown:
        raise DatasetError(
            f"Labels {unknown} are not in taxonomy {taxonomy.name!r}",
            why="the dataset was exported under another taxonomy",
            do="set `taxonomy` back, or export the dataset again",
        )
    columns = struck["label"].replace_strict(taxonomy.index, return_dtype=pl.Int64)
    matrix[struck["row"].to_numpy(), columns.to_numpy()] = 1
    return matrix


def hit_id_matrix(meta: pl.DataFrame) -> npt.NDArray[np.uint8]:
    """Return column `hit_id` as (rows, 20) ASCII."""
    text = "".join(meta["hit_id"].to_list()).encode("ascii")
    return np.frombuffer(text, dtype=np.uint8).reshape(len(meta), HIT_ID_CHARACTERS)


def _check_coverage(dataset: Dataset, paths: list[Path], folder: Path) -> None:
    missing = [shard for shard, path in zip(dataset.shards, paths, strict=True) if not path.is_file()]
    if missing:
        hits, all_hits = sum(shard.rows for shard in missing), sum(shard.rows for shard in dataset.shards)
        raise DatasetError(
            f"Features cover {1 - hits / max(all_hits, 1):.1%} of dataset {dataset.key}: {len(missing)} of "
            f"{len(paths)} shards ({hits:,} of {all_hits:,} hits) have none",
            where=folder,
            why="they were never built, or the dataset or the mel settings have changed since",
            do=f"beatsight features {for_shell(dataset.key)}",
        )


def _check_order(opened: list[ShardFeatures], meta: pl.DataFrame, folder: Path) -> None:
    """Make sure that row i of the features is row i of the dataset, by hit id."""
    ids = _stacked([part.hit_ids for part in opened], HIT_ID_CHARACTERS)
    if not np.array_equal(ids, hit_id_matrix(meta)):
        raise DatasetError("Features are of other hits than the dataset's", where=folder, do=REBUILD)


def _stacked(parts: list[npt.NDArray[np.uint8]], columns: int) -> npt.NDArray[np.uint8]:
    return np.concatenate([np.zeros((0, columns), dtype=np.uint8), *parts])

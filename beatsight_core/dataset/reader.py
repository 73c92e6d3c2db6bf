"""Reading a dataset: its indexes, its rows without audio as one table, and the samples of a shard.

Shards are ordinary Parquet; this file is for what the platform itself needs, fast.
"""

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.decoding.resample import to_pcm16
from beatsight_core.dataset.index import Index, IndexCounts, dataset_digest, index_path, index_paths, read_index
from beatsight_core.dataset.shards.shard_schema import (
    METADATA_COLUMNS,
    ROW_GROUP,
    SHARD_SCHEMA,
    WAV_HEADER_BYTES,
    ClipSpec,
    shard_name,
)
from beatsight_core.errors import DatasetError
from beatsight_core.files import plain_file
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard of an opened dataset.

    Attributes:
        path: File of the shard.
        digest: Name of the shard.
        source_set: Source set that it belongs to.
        rows: Number of clips, at least one.
    """

    path: Path
    digest: str
    source_set: str
    rows: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """An opened dataset.

    Attributes:
        key: Key of the manifest.
        indexes: Indexes, one per source set, by name.
        shards: Shards in the order of rows; `metadata()` has the same order.
        spec: Shape of the clips, but for the channel, which may differ between source sets.
    """

    key: str
    indexes: tuple[Index, ...]
    shards: tuple[Shard, ...]
    spec: ClipSpec

    @property
    def digest(self) -> str:
        """The digest of what the opened source sets hold."""
        return dataset_digest(self.indexes)

    @property
    def source_sets(self) -> tuple[str, ...]:
        """The opened source sets, by name."""
        return tuple(index.source_set for index in self.indexes)

    @property
    def counts(self) -> dict[str, IndexCounts]:
        """Source set -> its counts."""
        return {index.source_set: index.counts for index in self.indexes}

    @property
    def rejected(self) -> dict[str, dict[str, int]]:
        """Source set -> reason -> hits without a clip."""
        return {index.source_set: index.rejected for index in self.indexes}

    def __len__(self) -> int:
        """Return the number of clips."""
        return sum(shard.rows for shard in self.shards)

    def metadata(self) -> pl.DataFrame:
        """Return all columns save the audio, a row per clip in the order of the shards.

        Raises:
            DatasetError: A shard is missing or broken.
        """
        if not self.shards:
            return pl.DataFrame(schema=_metadata_schema())
        paths = [shard.path for shard in self.shards]
        try:
            table = pl.read_parquet(paths, columns=list(METADATA_COLUMNS), glob=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _broken(self.key, error) from error
        if table.height != len(self):
            raise _broken(self.key, f"{table.height} rows instead of {len(self)}")
        return table.select(METADATA_COLUMNS)


def open_dataset(settings: Settings, key: str, source_sets: Sequence[str] | None = None) -> Dataset:
    """Open what was exported of a manifest.

    Args:
        settings: Settings that say where the dataset lies, and how clips are to have been made.
        key: Key of the manifest.
        source_sets: Source sets to open; by default all that were exported.

    Raises:
        DatasetError: Nothing was exported, an index is damaged, or clips were made under other settings.
    """
    if source_sets is None:
        paths = index_paths(settings, key)
    else:
        paths = [index_path(settings, key, name) for name in sorted(set(source_sets))]
    if not paths:
        raise DatasetError(f"There is no dataset of {key}", where=settings.dataset_dir, do="export it first")
    indexes = tuple(sorted((read_index(path) for path in paths), key=lambda index: index.source_set))
    spec = ClipSpec.of(settings)
    for index in indexes:
        _require_current(index, ClipSpec.of(settings, index.source_set))
    shards = tuple(
        Shard(plain_file(settings.shards_dir / shard_name(entry.digest)), entry.digest, index.source_set, entry.rows)
        for index in indexes
        for entry in index.shards
        if entry.rows
    )
    return Dataset(key, indexes, shards, spec)


def shard_audio(shard: Shard) -> NDArray[np.int16]:
    """Return the samples of a shard's clips.

    Returns:
        (rows, frames) int16; read-only views where the file allows it.

    Raises:
        DatasetError: The shard is missing or broken, or its clips differ in length.
    """
    parts = list(shard_parts(shard, shard.rows))
    if not parts:
        raise _broken(shard.path, f"no clip instead of {shard.rows}")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def shard_parts(shard: Shard, rows: int) -> Iterator[NDArray[np.int16]]:
    """Yield the samples of a shard's clips in parts, so that memory does not follow the size of a shard.

    Args:
        shard: Shard to read.
        rows: Number of clips in a part, rounded up to whole row groups.

    Yields:
        (n, frames) int16, in the order of the rows; read-only views where the file allows it.

    Raises:
        DatasetError: The shard is missing or broken, or the clips of a part differ in length.
    """
    first, read, groups = 0, 0, 1
    while first < groups:
        try:
            # Opened for each part: the pages of a mapped file count as memory for as long as it is open.
            with pq.ParquetFile(shard.path, memory_map=True) as file:
                groups = file.num_row_groups
                following = min(first + -(-rows // ROW_GROUP), groups)
                column = file.read_row_groups(list(range(first, following)), columns=["audio.bytes"])["audio"]
        except (OSError, pa.ArrowException) as error:
            raise _broken(shard.path, error) from error
        parts = [_samples(chunk.field("bytes"), shard.path) for chunk in column.chunks if len(chunk)]
        first, read = following, read + len(column)
        if first >= groups and read != shard.rows:
            raise _broken(shard.path, f"{read} clips instead of {shard.rows}")
        yield from parts


def _samples(clips: pa.Array, where: Path) -> NDArray[np.int16]:
    """(n, frames) of an array of whole audio files that are equally long once decoded."""
    first = clips[0].as_buffer()
    if first.slice(0, 4).to_pybytes() != b"RIFF":
        decoded = [to_pcm16(decode(clip.as_py()).samples) for clip in clips]
        _require_equal({len(samples) for samples in decoded}, where)
        return np.stack(decoded)
    _require_equal(pc.unique(pc.binary_length(clips)), where)
    _, offsets, values = clips.buffers()
    begin = np.frombuffer(offsets, np.int32)[clips.offset]
    row_bytes = first.size
    data = np.frombuffer(values, np.uint8, len(clips) * row_bytes, begin).reshape(len(clips), row_bytes)
    return data[:, WAV_HEADER_BYTES:].view("<i2")


def _require_equal(lengths: Sized, where: Path) -> None:
    if len(lengths) > 1:
        raise DatasetError(
            "Clips of a shard differ in length, so they are no matrix",
            where=where,
            why="they were exported with dataset.fixed_length = false",
            do="set dataset.fixed_length = true and export again, or read the shard's `audio` column yourself",
        )


def _require_current(index: Index, spec: ClipSpec) -> None:
    wanted = spec.to_json()
    if index.settings != wanted:
        differing = sorted(name for name in wanted if index.settings.get(name) != wanted[name])
        raise DatasetError(
            f"The dataset of {index.manifest}, {index.source_set} was exported under other settings",
            why=f"{', '.join(differing)} changed since",
            do="export it again, or set these back",
        )


def _broken(where: str | Path, error: Exception | str) -> DatasetError:
    return DatasetError(
        "A shard of the dataset is missing or broken",
        where=where,
        why=str(error),
        do="check and heal the dataset, or export it again",
    )


def _metadata_schema() -> pl.Schema:
    empty = pa.schema([SHARD_SCHEMA.field(name) for name in METADATA_COLUMNS]).empty_table()
    return pl.DataFrame(empty).schema

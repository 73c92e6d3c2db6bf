"""A few clips of a dataset to hear and see: some for each label, alone if there are such, from shards far apart.

Which clips they are follows from the dataset alone. Only the shards they lie in are read, one row group for each.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf
from numpy.typing import NDArray

from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.decoding.resample import to_pcm16
from beatsight_core.dataset.page.figures import broken_shard
from beatsight_core.dataset.shards.schema import shard_name
from beatsight_core.settings import Settings

_COLUMNS = (
    "hit_id", "labels", "split", "source_set", "session_id", "audio_path", "onset_time", "peak", "sample_rate",
    "frames", "onset_frame",
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A clip chosen for a label.

    Attributes:
        label: The label.
        shard: Digest of the shard it lies in.
        row: Its row there.
        about: Its columns, save the audio; a shard of an earlier format may lack `onset_frame`.
    """

    label: str
    shard: str
    row: int
    about: dict[str, Any]


def choose_examples(
    settings: Settings, counts: pl.DataFrame, labels: Sequence[str], per_label: int
) -> dict[str, list[Example]]:
    """Choose clips for each label.

    Args:
        settings: Say where shards lie.
        counts: From `figures.label_counts`.
        labels: In the order they are to choose; no clip stands for two.
        per_label: How many for each, if there are as many.

    Returns:
        Label -> its examples; a label without a clip is left out.

    Raises:
        DatasetError: A shard is broken or gone.
    """
    reader, taken = _Shards(settings), set[tuple[str, int]]()
    chosen: dict[str, list[Example]] = {}
    for label in labels:
        shards = _shards_of(counts, label)
        for turn in range(per_label):
            # One from each shard in turn; where there are few shards, more from each.
            candidates = (example for shard in _from(shards, turn) for example in reader.examples(shard, label))
            example = next((one for one in candidates if (one.shard, one.row) not in taken), None)
            if example is None:
                break
            taken.add((example.shard, example.row))
            chosen.setdefault(label, []).append(example)
    return chosen


def example_sound(settings: Settings, example: Example) -> tuple[NDArray[np.int16], bytes]:
    """The samples of an example, and the same as a FLAC file.

    Raises:
        DatasetError: Its shard is broken or gone.
    """
    path = settings.shards_dir / shard_name(example.shard)
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            data = _clip(file, example.row)
    except (OSError, pa.ArrowException) as error:
        raise broken_shard(path, error) from error
    samples = to_pcm16(decode(data, str(path)).samples)
    packed = io.BytesIO()
    sf.write(packed, samples, example.about["sample_rate"], format="FLAC", subtype="PCM_16")
    return samples, packed.getvalue()


def _clip(file: pq.ParquetFile, row: int) -> bytes:
    first = 0
    for group in range(file.num_row_groups):
        after = first + file.metadata.row_group(group).num_rows
        if row < after:
            column = file.read_row_group(group, columns=["audio.bytes"])["audio"]
            return bytes(column[row - first]["bytes"].as_py())
        first = after
    raise pa.ArrowInvalid(f"there is no row {row}")


def _shards_of(counts: pl.DataFrame, label: str) -> list[str]:
    """Shards that hold a label, those that hold it alone first, else in the order of their digests, which is chance."""
    held = counts.filter(pl.col("label") == label).group_by("shard").agg(pl.col("solo").sum())
    return held.sort(pl.col("solo") == 0, "shard")["shard"].to_list()


def _from(shards: Sequence[str], turn: int) -> Iterator[str]:
    """All shards, beginning with the one whose turn it is."""
    begin = turn % max(len(shards), 1)
    yield from shards[begin:]
    yield from shards[:begin]


class _Shards:
    """Reads the columns of shards, each once."""

    def __init__(self, settings: Settings):
        self._folder: Path = settings.shards_dir
        self._read: dict[str, pl.DataFrame] = {}

    def examples(self, shard: str, label: str) -> list[Example]:
        """The clips of a shard that hold a label, those that hold it alone first."""
        if shard not in self._read:
            path = self._folder / shard_name(shard)
            try:
                columns = [name for name in pq.read_schema(path).names if name in _COLUMNS]
                self._read[shard] = pl.read_parquet(path, columns=columns, glob=False).with_row_index("row")
            except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
                raise broken_shard(path, error) from error
        rows = self._read[shard].filter(pl.col("labels").list.contains(label))
        ordered = rows.sort(pl.col("labels").list.len() != 1, "hit_id")
        return [Example(label, shard, row.pop("row"), row) for row in ordered.iter_rows(named=True)]

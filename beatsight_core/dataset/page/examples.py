"""A few clips of a dataset to hear and see: some for each label, alone if there are such, from shards far apart.

Which clips they are follows from the dataset alone. Only the shards they lie in are read, one row group for each.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf
from numpy.typing import NDArray

from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.decoding.resample import to_pcm16
from beatsight_core.dataset.page.figures import broken_shard
from beatsight_core.dataset.shards.shard_schema import shard_name
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class ClipOrigin:
    """The columns of a clip that say what it is and where it comes from.

    Attributes:
        hit_id: Id of the hit.
        labels: Labels of the hit, in class order.
        split: Split of the hit.
        source_set: Source set of the hit.
        session_id: Session of the hit.
        audio_path: Path of the audio file in the manifest.
        onset_time: Time of the onset in that file, in seconds.
        peak: Peak level of the clip in dB below full scale.
        sample_rate: Samples per second.
        frames: Length of the clip in samples.
        onset_frame: Sample of the clip that is its onset's; None in a shard of an earlier format.
    """

    hit_id: str
    labels: list[str]
    split: str
    source_set: str
    session_id: str
    audio_path: str
    onset_time: float
    peak: float
    sample_rate: int
    frames: int
    onset_frame: int | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A clip chosen for a label.

    Attributes:
        label: Label that the clip stands for.
        shard: Digest of the shard that holds it.
        row: Row of the clip in that shard.
        origin: Description of the clip.
    """

    label: str
    shard: str
    row: int
    origin: ClipOrigin


def choose_examples(
    settings: Settings, counts: pl.DataFrame, labels: Sequence[str], per_label: int
) -> dict[str, list[Example]]:
    """Choose clips for each label.

    Args:
        settings: Settings that say where shards lie.
        counts: Table from `figures.label_counts`.
        labels: Labels in the order in which they choose; no clip stands for two.
        per_label: Number of examples for each label, if there are as many.

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


@dataclass(frozen=True, slots=True)
class ClipSound:
    """A clip to be heard.

    Attributes:
        samples: Array (n,) of the samples.
        rate_hz: Samples per second.
        flac: Content of a FLAC file of the same samples.
    """

    samples: NDArray[np.int16]
    rate_hz: int
    flac: bytes


def clip_sound(settings: Settings, shard: str, row: int) -> ClipSound:
    """Return the sound of a clip.

    Args:
        settings: Settings that say where shards lie.
        shard: Digest of the shard that holds the clip.
        row: Row of the clip in that shard.

    Raises:
        DatasetError: The shard is broken or gone.
    """
    path = settings.shards_dir / shard_name(shard)
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            data = _clip(file, row)
    except (OSError, pa.ArrowException) as error:
        raise broken_shard(path, error) from error
    decoded = decode(data, str(path))
    samples = to_pcm16(decoded.samples)
    packed = io.BytesIO()
    sf.write(packed, samples, decoded.rate_hz, format="FLAC", subtype="PCM_16")
    return ClipSound(samples, decoded.rate_hz, packed.getvalue())


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
            path, wanted = self._folder / shard_name(shard), {column.name for column in fields(ClipOrigin)}
            try:
                columns = [name for name in pq.read_schema(path).names if name in wanted]
                self._read[shard] = pl.read_parquet(path, columns=columns, glob=False).with_row_index("row")
            except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
                raise broken_shard(path, error) from error
        rows = self._read[shard].filter(pl.col("labels").list.contains(label))
        ordered = rows.sort(pl.col("labels").list.len() != 1, "hit_id")
        return [Example(label, shard, row.pop("row"), ClipOrigin(**row)) for row in ordered.iter_rows(named=True)]

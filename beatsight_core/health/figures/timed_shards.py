"""The onset strengths of some clips of a shard, kept by the shard's digest as other measurements of its sound are.

`catalog/sounds/<aa>/<digest>-onsets-….parquet`. Deleting any of it costs only the time to measure again.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beatsight_core.health.figures.measured_shards import alike, chosen_groups, kept, samples_of
from beatsight_core.health.figures.onset_strength import BINS, strengths
from beatsight_core.settings import Settings

FORMAT = 1
"""Grows with any change of what is measured or how."""

MOST_OF_A_GROUP = 32
"""Clips of one recording that are measured of a row group at most, evenly over it."""

SCHEMA = pl.Schema({"session_id": pl.String, "audio_path": pl.String, "onset_time": pl.Float64, "strength": pl.Binary})
"""A row per measured clip that has a label; `strength` holds `BINS` bytes."""


def timed(settings: Settings, shard: str, groups: int, seed: int) -> pl.DataFrame:
    """Return the onset strengths of a shard's clips, measured now unless they were kept.

    Args:
        settings: Folders of shards and of what is kept.
        shard: Digest of the shard.
        groups: Row groups to measure, fewer if it has not as many.
        seed: Seed of the choice of row groups.

    Returns:
        Columns as `SCHEMA`.

    Raises:
        DatasetError: The shard is missing or broken.
        StorageError: The measurement cannot be written.
    """
    name = f"{shard}-onsets-{FORMAT}-{seed}-{groups}"
    return kept(settings, shard, name, SCHEMA, lambda path: _measure(path, shard, groups, seed))


def strengths_of(frame: pl.DataFrame) -> NDArray[np.uint8]:
    """Return the column `strength` as a matrix, (n, BINS)."""
    return np.frombuffer(b"".join(frame["strength"].to_list()), np.uint8).reshape(frame.height, BINS)


def _measure(path: Path, shard: str, groups: int, seed: int) -> pl.DataFrame:
    with pq.ParquetFile(path, memory_map=True) as file:
        if "onset_frame" not in file.schema_arrow.names:  # of an earlier format, which does not say where onsets are
            return pl.DataFrame(schema=SCHEMA)
        names = ["session_id", "audio_path", "onset_time", "labels", "onset_frame", "sample_rate", "audio.bytes"]
        chosen = chosen_groups(file.num_row_groups, groups, shard, seed)
        frames = [_measured_group(file.read_row_group(group, names)) for group in chosen]
    return pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA)


def _measured_group(rows: pa.Table) -> pl.DataFrame:
    own = pl.DataFrame(rows.select(["session_id", "audio_path", "onset_time"]))
    labelled = np.flatnonzero(pc.list_value_length(rows["labels"]).to_numpy() > 0)
    places = _evenly(own, labelled)
    audio = rows["audio"].combine_chunks().field("bytes")
    clips = [samples_of(audio[place].as_py()) for place in places.tolist()]
    onsets, rates = (rows[name].to_numpy()[places].tolist() for name in ("onset_frame", "sample_rate"))
    found = np.zeros((len(clips), BINS), np.uint8)
    for same in alike(clips, onsets, rates):
        found[list(same.rows)] = strengths(same.samples, same.onset, same.rate_hz)
    return own[places].with_columns(strength=pl.Series([one.tobytes() for one in found], dtype=pl.Binary))


def _evenly(own: pl.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most so many of these rows of each recording, evenly over those that there are; ascending."""
    recordings: dict[tuple[str, str], list[int]] = {}
    known = list(zip(own["session_id"].to_list(), own["audio_path"].to_list(), strict=True))
    for row in rows.tolist():
        recordings.setdefault(known[row], []).append(row)
    most = MOST_OF_A_GROUP
    taken = [
        one if len(one) <= most else [one[place * len(one) // most] for place in range(most)]
        for one in recordings.values()
    ]
    return np.array(sorted(row for one in taken for row in one), np.int64)

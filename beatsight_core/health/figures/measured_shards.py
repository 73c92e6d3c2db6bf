"""What was measured of some clips of a shard, kept by the shard's digest: a shard never changes, so neither does this.

`catalog/sounds/<aa>/<digest>-<row groups>.parquet`. Deleting any of it costs only the time to measure again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.decoding.resample import to_pcm16
from beatsight_core.dataset.page.figures import broken_shard
from beatsight_core.dataset.shards.shard_schema import WAV_HEADER_BYTES, shard_name
from beatsight_core.errors import AudioError
from beatsight_core.files import atomic_path, digest_json, unless_read_only
from beatsight_core.health.figures import sound_measures as measures
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.settings import Settings

FOLDER = "sounds"
FORMAT = 1
"""Grows with any change of what is measured or how."""

SCHEMA = pl.Schema({
    "hit_id": pl.String(), "session_id": pl.String(), "split": pl.String(), "audio_path": pl.String(),
    "onset_time": pl.Float64(), "labels": pl.List(pl.String()), "previous_gap": pl.Float64(),
    "next_gap": pl.Float64(), "clipped": pl.Boolean(), "offset": pl.Float64(), "attack_ms": pl.Float64(),
    "print": pl.Binary(),
})  # fmt: skip
"""A row per measured clip: columns of its shard, then what was measured; `attack_ms` is null where none was heard."""

_PCM_MONO, _16_BIT = b"\1\0\1\0", b"\x10\0"

_OWN = ("hit_id", "session_id", "split", "audio_path", "onset_time", "labels", "previous_gap", "next_gap")


@dataclass(frozen=True, slots=True)
class AlikeClips:
    """Clips of one length, onset and rate.

    Attributes:
        rows: Places of the clips among those that were given.
        samples: Samples of the clips, (n, frames).
        onset: Sample of the onset; below 0 where nobody knows.
        rate_hz: Rate of the samples.
    """

    rows: tuple[int, ...]
    samples: NDArray[np.int16]
    onset: int
    rate_hz: int


def measured(settings: Settings, shard: str, groups: int, seed: int) -> pl.DataFrame:
    """Return the measurements of a shard, made now unless they were kept.

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
    name = f"{shard}-{FORMAT}-{seed}-{groups}"
    return kept(settings, shard, name, SCHEMA, lambda path: _measure(path, shard, groups, seed))


def kept(
    settings: Settings, shard: str, name: str, schema: pl.Schema, measure: Callable[[Path], pl.DataFrame]
) -> pl.DataFrame:
    """Return what was measured of a shard and kept under a name; measured now if it was not, or cannot be used.

    Args:
        settings: Folders of shards and of what is kept.
        shard: Digest of the shard.
        name: Name under which it is kept: the shard, and all that bears on the measurement.
        schema: Columns of the measurement.
        measure: Function that makes it from the shard's path.

    Raises:
        DatasetError: The shard is missing or broken.
        StorageError: The measurement cannot be written.
    """
    place = settings.catalog_dir / FOLDER / shard[:2] / f"{name}.parquet"
    known = _read(place, schema)
    if known is not None:
        return known
    path = settings.shards_dir / shard_name(shard)
    try:
        frame = measure(path)
    except (OSError, pa.ArrowException, AudioError) as error:
        raise broken_shard(path, error) from error
    remove_leftovers(place.parent)
    with unless_read_only(), atomic_path(place) as temporary:
        frame.write_parquet(temporary)
    return frame


def chosen_groups(there: int, wanted: int, shard: str, seed: int) -> list[int]:
    """Return row groups chosen by chance, which the shard's digest and the seed decide."""
    ranked = sorted(range(there), key=lambda group: digest_json([seed, shard, group]))
    return sorted(ranked[:wanted])


def samples_of(content: bytes) -> NDArray[np.int16]:
    """Return the samples of a clip as a shard holds it. A plain WAV of 16 bit, as most are, needs no decoder."""
    shape = (content[:4], content[20:24], content[34:36], content[36:40])
    if shape == (b"RIFF", _PCM_MONO, _16_BIT, b"data"):
        size = int.from_bytes(content[40:44], "little")
        if size == len(content) - WAV_HEADER_BYTES and size % 2 == 0:
            return np.frombuffer(content, "<i2", offset=WAV_HEADER_BYTES)
    return to_pcm16(decode(content).samples)


def _read(path: Path, schema: pl.Schema) -> pl.DataFrame | None:
    """Return what was kept; None if there is none, or none that can be used."""
    try:
        frame = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError):
        return None
    return frame if frame.schema == schema else None


def _measure(path: Path, shard: str, groups: int, seed: int) -> pl.DataFrame:
    with pq.ParquetFile(path, memory_map=True) as file:
        chosen = chosen_groups(file.num_row_groups, groups, shard, seed)
        there = [name for name in ("onset_frame", "sample_rate") if name in file.schema_arrow.names]
        frames = [_measured_group(file.read_row_group(group, [*_OWN, *there, "audio.bytes"])) for group in chosen]
    return pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA)


def _measured_group(rows: pa.Table) -> pl.DataFrame:
    clips = [samples_of(clip["bytes"].as_py()) for clip in rows["audio"]]
    rates = rows["sample_rate"].to_pylist()
    # A shard of an earlier format does not say where its onsets are.
    onsets = rows["onset_frame"].to_pylist() if "onset_frame" in rows.column_names else [-1] * len(clips)
    frames = []
    for same in alike(clips, onsets, rates):
        block = same.samples
        found = {
            "clipped": measures.clipped(block),
            "offset": measures.offset(block),
            "attack_ms": pl.Series(measures.attack_ms(block, same.onset, same.rate_hz)).fill_nan(None),
            "print": [one.tobytes() for one in measures.prints(block, same.rate_hz)],
        }
        frames.append(pl.DataFrame({"row": same.rows, **found}))
    own = pl.DataFrame(rows.select(_OWN)).with_row_index("row")
    if not frames:
        return pl.DataFrame(schema=SCHEMA)
    whole = own.with_columns(pl.col("row").cast(pl.Int64)).join(pl.concat(frames), on="row", maintain_order="left")
    return whole.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def alike(clips: list[NDArray[np.int16]], onsets: list[int], rates: list[int]) -> Iterator[AlikeClips]:
    """Yield clips of one length, onset and rate together."""
    kinds = list(zip(map(len, clips), onsets, rates, strict=True))
    for kind in sorted(set(kinds)):
        members = tuple(row for row, mine in enumerate(kinds) if mine == kind)
        yield AlikeClips(members, np.stack([clips[row] for row in members]), kind[1], kind[2])

"""What was measured of some clips of a shard, kept by the shard's digest: a shard never changes, so neither does this.

`catalog/sounds/<aa>/<digest>-<row groups>.parquet`. Deleting any of it costs only the time to measure again.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.decoding.resample import to_pcm16
from beatsight_core.dataset.page.figures import broken_shard
from beatsight_core.dataset.shards.schema import WAV_HEADER_BYTES, shard_name
from beatsight_core.errors import AudioError
from beatsight_core.files import atomic_path, digest_json, unless_read_only
from beatsight_core.health.figures import sound_measures as measures
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.settings import Settings

FOLDER = "sounds"
FORMAT = 1
"""Grows with any change of what is measured or how."""

SCHEMA: dict[str, Any] = {
    "hit_id": pl.String, "session_id": pl.String, "split": pl.String, "audio_path": pl.String,
    "onset_time": pl.Float64, "labels": pl.List(pl.String), "previous_gap": pl.Float64, "next_gap": pl.Float64,
    "clipped": pl.Boolean, "offset": pl.Float64, "attack_ms": pl.Float64, "print": pl.Binary,
}  # fmt: skip
"""A row per measured clip: columns of its shard, then what was measured; `attack_ms` is null where none was heard."""

_PCM_MONO, _16_BIT = b"\1\0\1\0", b"\x10\0"

_OWN = ("hit_id", "session_id", "split", "audio_path", "onset_time", "labels", "previous_gap", "next_gap")


def measured(settings: Settings, shard: str, groups: int, seed: int) -> pl.DataFrame:
    """The measurements of a shard, made now unless they were kept.

    Args:
        settings: Say where shards lie and where measurements are kept.
        shard: Its digest.
        groups: Row groups to measure, fewer if it has not as many.
        seed: Of the choice of row groups.

    Returns:
        Columns as `SCHEMA`.

    Raises:
        DatasetError: The shard is missing or broken.
        StorageError: What was measured cannot be kept.
    """
    name = f"{shard}-{FORMAT}-{seed}-{groups}"
    return kept(settings, shard, name, SCHEMA, lambda path: _measure(path, shard, groups, seed))


def kept(
    settings: Settings, shard: str, name: str, schema: Mapping[str, Any], measure: Callable[[Path], pl.DataFrame]
) -> pl.DataFrame:
    """What was measured of a shard and kept under a name; measured now if it was not, or cannot be used.

    Args:
        settings: Say where shards lie and where measurements are kept.
        shard: Its digest.
        name: What it is kept under; the shard, and all that bears on the measurement.
        schema: Columns of the measurement.
        measure: Makes it, from the shard's path.

    Raises:
        DatasetError: The shard is missing or broken.
        StorageError: What was measured cannot be kept.
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
    """Which row groups: by chance, which the shard's digest and the seed decide."""
    ranked = sorted(range(there), key=lambda group: digest_json([seed, shard, group]))
    return sorted(ranked[:wanted])


def samples_of(content: bytes) -> NDArray[np.int16]:
    """The samples of a clip as a shard holds it. A plain WAV of 16 bit, as most are, needs no decoder."""
    shape = (content[:4], content[20:24], content[34:36], content[36:40])
    if shape == (b"RIFF", _PCM_MONO, _16_BIT, b"data"):
        size = int.from_bytes(content[40:44], "little")
        if size == len(content) - WAV_HEADER_BYTES and size % 2 == 0:
            return np.frombuffer(content, "<i2", offset=WAV_HEADER_BYTES)
    return to_pcm16(decode(content).samples)


def _read(path: Path, schema: Mapping[str, Any]) -> pl.DataFrame | None:
    """What was kept; None if there is none, or none that can be used."""
    try:
        frame = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError):
        return None
    return frame if dict(frame.schema) == dict(schema) else None


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
    found: dict[str, list[Any]] = {name: [None] * len(clips) for name in ("clipped", "offset", "attack_ms", "print")}
    for members, block, onset, rate in alike(clips, onsets, rates):
        prints = measures.prints(block, rate)
        columns = {
            "clipped": measures.clipped(block).tolist(),
            "offset": measures.offset(block).tolist(),
            "attack_ms": _without_nan(measures.attack_ms(block, onset, rate)),
            "print": [one.tobytes() for one in prints],
        }
        for name, values in columns.items():
            for row, value in zip(members, values, strict=True):
                found[name][row] = value
    own = pl.DataFrame(rows.select(_OWN), schema_overrides=SCHEMA)
    return own.with_columns(pl.Series(name, values, SCHEMA[name]) for name, values in found.items())


def alike(
    clips: list[NDArray[np.int16]], onsets: list[int], rates: list[int]
) -> Iterator[tuple[list[int], NDArray[np.int16], int, int]]:
    """Clips of one length, onset and rate together: their rows, a matrix of them, onset and rate."""
    kinds = list(zip(map(len, clips), onsets, rates, strict=True))
    for kind in sorted(set(kinds)):
        members = [row for row, mine in enumerate(kinds) if mine == kind]
        yield members, np.stack([clips[row] for row in members]), kind[1], kind[2]


def _without_nan(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]

"""One unit -> one shard. Runs in a worker process: holds one file's audio at a time and imports no more than it needs.

Each file is read once; the bytes that are decoded are those that were digested. A file that cannot be had or decoded
loses its hits, each with a reason, and the unit's other files go on. The shard's own metadata says what was left out,
so that whoever finds the shard later knows without looking at the audio.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beatsight_core.audio.decode import Decoded, decode, truncation
from beatsight_core.audio.slicing import clip_views, onset_samples, pad
from beatsight_core.dataset.block import ClipBlock, peak_dbfs, rms_dbfs
from beatsight_core.dataset.plan import shard_digest
from beatsight_core.dataset.schema import (
    FILE_KEY,
    HIT_ROWS,
    ROW_GROUP,
    SHARD_SCHEMA,
    ClipSpec,
    schema_with_features,
    shard_name,
)
from beatsight_core.dataset.unit_audio import FileJob, SourceFile, read_unit
from beatsight_core.errors import AudioError, StorageError
from beatsight_core.files import atomic_path, put_if_absent, sha256_file
from beatsight_core.units import samples_to_seconds

REASONS = ("missing_audio", "unreadable_audio", "truncated_audio", "past_end")
"""Why a hit has no clip, each counted by itself."""

_TEXT = [
    "session_id", "source_set", "licence", "split", "split_group", "audio_path", "drummer_id", "kit_id", "room_id",
    "bleed_level", "mix_context", "labels.list.element", "techniques.list.element",
]  # fmt: skip
_LEAVES = [
    f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
    for field in SHARD_SCHEMA
    if field.name != "audio"
]


@dataclass(frozen=True, slots=True)
class UnitJob:
    """What a worker needs to make a shard.

    Attributes:
        source_set: Of the unit.
        files: Its files that are to be had, in order.
        rows: Their hits in Arrow's stream format.
        spec: How clips are made.
        shards_dir: Where shards lie.
        overwrite: Write even if the shard is there.
    """

    source_set: str
    files: tuple[FileJob, ...]
    rows: bytes
    spec: ClipSpec
    shards_dir: Path
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """Hits of a file that got no clip."""

    audio_path: str
    reason: str
    hits: int
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """As shards and indexes hold it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """A shard as it lies on disk.

    Attributes:
        digest: Its name.
        rows: Clips.
        by_split: Split -> clips.
        rejected: Hits of its files that got no clip.
        files: Audio files it was made from.
        bytes: Its size.
        sha256: Of the whole file; empty if it was not computed.
        written: Whether this run wrote it.
        read: Files that were read to make it.
    """

    digest: str
    rows: int
    by_split: dict[str, int]
    rejected: tuple[Rejected, ...]
    files: int
    bytes: int
    sha256: str = ""
    written: bool = False
    read: tuple[SourceFile, ...] = ()


def make_shard(job: UnitJob) -> ShardOutcome:
    """Make a unit's shard, or find that it is there already.

    Raises:
        AudioError: A root vanished, or a drive failed.
        StorageError: The shard cannot be written.
    """
    with pa.ipc.open_stream(job.rows) as stream:
        rows = stream.read_all()
    unit = read_unit(job.files)
    lost = tuple(Rejected(file.audio_path, reason, file.hits, why) for file, reason, why in unit.lost)
    rows = _rows_of_read(rows, job.files, unit.read)
    digest = shard_digest(job.spec, [(file.job.audio_path, file.digest) for file in unit.read], rows)
    path = job.shards_dir / shard_name(digest)
    there = read_outcome(path, digest)

    def write(temporary: Path) -> None:
        _write_shard(temporary, job, unit.read, rows)

    written = False
    if there is None or job.overwrite:
        if path.exists():
            with atomic_path(path) as temporary:
                write(temporary)
            written = True
        else:
            written = put_if_absent(path, write)
        there = read_outcome(path, digest)
    if there is None:
        raise StorageError("A shard that was just written cannot be read", where=path, do="check the drive")
    details: dict[str, Any] = {name: getattr(there, name) for name in ("digest", "rows", "by_split", "files", "bytes")}
    return ShardOutcome(
        **details, rejected=lost + there.rejected, sha256=sha256_file(path), written=written, read=tuple(unit.read)
    )


def read_outcome(path: Path, digest: str) -> ShardOutcome | None:
    """What a shard's own metadata says of it; None if there is no whole shard."""
    try:
        metadata = pq.read_metadata(path)
        note = orjson.loads(metadata.metadata[FILE_KEY])
        rejected = tuple(Rejected(**entry) for entry in note["rejected"])
        outcome = ShardOutcome(
            digest, metadata.num_rows, note["by_split"], rejected, len(note["files"]), path.stat().st_size
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None
    return outcome if sum(outcome.by_split.values()) == outcome.rows else None


def _rows_of_read(rows: pa.Table, files: tuple[FileJob, ...], read: list[SourceFile]) -> pa.Table:
    """The rows of the files that could be read."""
    if len(read) == len(files):
        return rows
    return rows.filter(pc.is_in(rows["audio_path"], pa.array([file.job.audio_path for file in read], pa.string())))


def _write_shard(path: Path, job: UnitJob, files: list[SourceFile], rows: pa.Table) -> None:
    rejected: list[Rejected] = []
    by_split: dict[str, int] = {}
    with pq.ParquetWriter(path, schema_with_features(job.spec), **_writer_options()) as writer:
        groups = _RowGroups(writer, job.spec)
        first = 0
        for file in files:
            mine = rows.slice(first, file.job.hits)
            first += file.job.hits
            kept = _add_file(groups, file, mine, job.spec, rejected)
            for split in pc.value_counts(kept["split"]):
                name = split["values"].as_py()
                by_split[name] = by_split.get(name, 0) + split["counts"].as_py()
        groups.flush()
        note = {
            "clips": job.spec.to_json(),
            "source_set": job.source_set,
            "files": [(file.job.audio_path, file.digest) for file in files],
            "by_split": by_split,
            "rejected": [entry.to_json() for entry in rejected],
        }
        writer.add_key_value_metadata({FILE_KEY: orjson.dumps(note, option=orjson.OPT_SORT_KEYS)})


def _add_file(
    groups: "_RowGroups", file: SourceFile, rows: pa.Table, spec: ClipSpec, rejected: list[Rejected]
) -> pa.Table:
    """Cut one file's clips; returns the rows that got one."""
    path = file.job.audio_path
    data = file.data()
    try:
        decoded = decode(data, path)
    except AudioError as error:
        rejected.append(Rejected(path, "unreadable_audio", rows.num_rows, error.why or error.what))
        return rows.slice(0, 0)
    if decoded.is_truncated:
        # Labels at wrong places are worse than none: what comes after a break may have moved.
        why = truncation(decoded.declared_frames, decoded.frames)
        rejected.append(Rejected(path, "truncated_audio", rows.num_rows, why))
        return rows.slice(0, 0)
    kept = _before_end(rows, decoded)
    if past := rows.num_rows - kept.num_rows:
        end_s = samples_to_seconds(decoded.frames, decoded.rate_hz)
        rejected.append(Rejected(path, "past_end", past, f"the file ends at {end_s:.6f} s"))
    padded = pad(decoded.at_rate(spec.window.rate_hz), spec.window)
    onsets = onset_samples(kept["onset_time"].to_numpy(), spec.window.rate_hz)
    groups.add(kept, clip_views(padded, onsets, spec.window))
    return kept


def _before_end(rows: pa.Table, decoded: Decoded) -> pa.Table:
    """The rows whose onset lies in the file, counted in the file's own samples."""
    inside = onset_samples(rows["onset_time"].to_numpy(), decoded.rate_hz) < decoded.frames
    return rows if inside.all() else rows.filter(pa.array(inside))


class _RowGroups:
    """Gathers rows and clips of several files into row groups of `ROW_GROUP`, the last one excepted."""

    def __init__(self, writer: pq.ParquetWriter, spec: ClipSpec):
        self._writer = writer
        self._spec = spec
        self._block = ClipBlock(spec.window, spec.encoding)
        self._rows: list[pa.Table] = []

    def add(self, rows: pa.Table, clips: list[np.ndarray[Any, np.dtype[np.int16]]]) -> None:
        for start, stop in self._pieces(len(clips)):
            self._rows.append(rows.slice(start, stop - start))
            self._block.add(clips[start:stop])
            if not self._block.room:
                self.flush()

    def flush(self) -> None:
        if self._block.rows:
            self._writer.write_table(self._table(), row_group_size=ROW_GROUP)
            self._block.clear()
            self._rows.clear()

    def _pieces(self, count: int) -> Iterator[tuple[int, int]]:
        start = 0
        while start < count:
            stop = min(count, start + self._block.room)
            yield start, stop
            start = stop

    def _table(self) -> pa.Table:
        rows = pa.concat_tables(self._rows)
        count, window = self._block.rows, self._spec.window
        names = pc.binary_join_element_wise(rows["hit_id"].combine_chunks(), f".{self._spec.encoding}", "")
        audio = pa.StructArray.from_arrays(
            [self._block.encoded(), names], fields=list(SHARD_SCHEMA.field("audio").type)
        )
        columns = {name: rows[name] for name in HIT_ROWS.names} | {
            "peak": pa.array(peak_dbfs(self._block.samples)),
            "rms": pa.array(rms_dbfs(self._block.samples)),
            "sample_rate": pa.array(np.full(count, window.rate_hz, np.int32)),
            "frames": pa.array(np.full(count, window.frames, np.int32)),
            "audio": audio,
        }
        return pa.table([columns[name] for name in SHARD_SCHEMA.names], schema=self._writer.schema)


def _writer_options() -> dict[str, Any]:
    """How the file is written: fixed, for it shows in the bytes. Packing the text would save a part in 500."""
    return {
        "compression": "none",
        "use_dictionary": _TEXT,
        "write_statistics": [name for name in _LEAVES if "." not in name],
        "version": "2.6",
        "data_page_version": "1.0",
    }

"""One unit -> one shard. Runs in a worker process: holds one file's audio at a time and imports no more than it needs.

Each file is read once; the bytes that are decoded are those that were digested. A file that cannot be had or decoded
loses its hits, each with a reason, and the unit's other files go on. The shard's own metadata says what was left out,
so that whoever finds the shard later knows without looking at the audio.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beatsight_core.dataset.export_plan import ShardNames, shard_names
from beatsight_core.dataset.index import Rejected
from beatsight_core.dataset.shards.block import ClipBlock, VariedBlock
from beatsight_core.dataset.shards.cutting import Cut, Known, SecondThoughtError, cut_file, takes_parts
from beatsight_core.dataset.shards.shard_schema import (
    FILE_KEY,
    HIT_ROWS,
    ROW_GROUP,
    SHARD_SCHEMA,
    ClipSpec,
    schema_with_features,
    shard_name,
)
from beatsight_core.dataset.shards.unit_audio import FileJob, SourceFile, read_unit
from beatsight_core.dataset.shards.writeback import early_writing
from beatsight_core.errors import StorageError
from beatsight_core.files import atomic_path, put_if_absent, sha256_file, storage_errors
from beatsight_core.leftovers import temporary_path

REASONS = ("missing_audio", "unreadable_audio", "truncated_audio", "past_end", "silent_audio", "opposite_polarity")
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
    """The inputs that a worker makes a shard from.

    Attributes:
        source_set: Source set of the unit.
        files: Files of the unit that can be had, in order.
        rows: Hits of these files in Arrow's stream format.
        spec: Shape of the clips.
        shards_dir: Folder of the shards.
        overwrite: True to write even if the shard is there.
    """

    source_set: str
    files: tuple[FileJob, ...]
    rows: bytes
    spec: ClipSpec
    shards_dir: Path
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """A shard as it lies on disk.

    Attributes:
        digest: Name of the shard.
        rows: Number of clips.
        events: Number of events in these clips.
        by_split: Split -> clips.
        frames_by_split: Split -> samples of clips.
        rejected: Hits of its files that got no clip.
        files: Number of audio files that it was made from.
        remembering: True if one of these is an MP3 or Opus by its name: an earlier version decoded such files
            otherwise.
        bytes: Size of the shard.
        sha256: Checksum of the whole file; empty if it was not computed.
        written: True if this run wrote it.
        read: Files that were read to make it.
    """

    digest: str
    rows: int
    events: int
    by_split: dict[str, int]
    frames_by_split: dict[str, int]
    rejected: tuple[Rejected, ...]
    files: int
    remembering: bool
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
    mine = _rows_by_file(job, rows)
    unit = read_unit(job.files, lambda file, stream: takes_parts(stream, file.audio_path, mine[file], job.spec))
    lost = tuple(_rejected(one.job, one.reason, mine[one.job], one.message) for one in unit.lost)
    rows = _rows_of_read(rows, job.files, unit.read)
    names = shard_names(job.spec, [(file.job.audio_path, file.digest) for file in unit.read], rows)
    there, written = find_shard(job.shards_dir, names), False
    if there is None or job.overwrite:
        digest, written = _put_shard(job, names, unit.read, rows)
        there = read_outcome(job.shards_dir / shard_name(digest), digest)
    if there is None:
        where = job.shards_dir / shard_name(names.plain)
        raise StorageError("A shard that was just written cannot be read", where=where, do="check the drive")
    path = job.shards_dir / shard_name(there.digest)
    return replace(
        there, rejected=lost + there.rejected, sha256=sha256_file(path), written=written, read=tuple(unit.read)
    )


def find_shard(shards_dir: Path, names: ShardNames) -> ShardOutcome | None:
    """Return the shard of a unit, under whichever of its names it lies; None if there is no whole one.

    What was judged by earlier rules lies under the plain name, too, and does not count.
    """
    plain = read_outcome(shards_dir / shard_name(names.plain), names.plain)
    if plain is not None and _needs_no_judgement(plain):
        return plain
    return read_outcome(shards_dir / shard_name(names.judged), names.judged)


def _needs_no_judgement(outcome: ShardOutcome) -> bool:
    return not outcome.remembering and all(entry.reason == "past_end" for entry in outcome.rejected)


def _is_of_other_rules(path: Path, names: ShardNames) -> bool:
    there = read_outcome(path, names.plain)
    return there is not None and not _needs_no_judgement(there)


def _put_shard(job: UnitJob, names: ShardNames, files: list[SourceFile], rows: pa.Table) -> tuple[str, bool]:
    """Write a shard, and then give it the name that fits; says the name, and whether this call put it there."""
    place = job.shards_dir / shard_name(names.plain)
    temporary = temporary_path(place)
    try:
        with storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            is_judged = _write_shard(temporary, job, files, rows)
        # A plain name may be taken by what earlier rules made of these files; others may still use that.
        digest = names.judged if is_judged or _is_of_other_rules(place, names) else names.plain
        path = job.shards_dir / shard_name(digest)
        if not path.exists():
            return digest, put_if_absent(path, lambda empty: _move(temporary, empty))
        with atomic_path(path) as empty:
            temporary.replace(empty)
        return digest, True
    finally:
        temporary.unlink(missing_ok=True)


def read_outcome(path: Path, digest: str) -> ShardOutcome | None:
    """Return what a shard's own metadata says of it; None if there is no whole shard."""
    if not path.is_file():  # of a pipe a reader would wait for ever
        return None
    try:
        metadata = pq.read_metadata(path)
        note = orjson.loads(metadata.metadata[FILE_KEY])
        rejected = tuple(Rejected(**entry) for entry in note["rejected"])
        outcome = ShardOutcome(
            digest,
            metadata.num_rows,
            note["events"],
            note["by_split"],
            note["frames_by_split"],
            rejected,
            len(note["files"]),
            any(name.lower().endswith((".mp3", ".opus")) for name, _ in note["files"]),
            path.stat().st_size,
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None
    return outcome if sum(outcome.by_split.values()) == outcome.rows else None


def count_events(rows: pa.Table) -> int:
    """Return how many events some rows of the hits' table hold."""
    return int(pc.sum(pc.list_value_length(rows["event_ids"])).as_py() or 0)


def _rows_by_file(job: UnitJob, rows: pa.Table) -> dict[FileJob, pa.Table]:
    firsts = accumulate((file.hits for file in job.files), initial=0)
    return {file: rows.slice(first, file.hits) for file, first in zip(job.files, firsts, strict=False)}


def _rows_of_read(rows: pa.Table, files: tuple[FileJob, ...], read: list[SourceFile]) -> pa.Table:
    """The rows of the files that could be read."""
    if len(read) == len(files):
        return rows
    return rows.filter(pc.is_in(rows["audio_path"], pa.array([file.job.audio_path for file in read], pa.string())))


def _move(temporary: Path, to: Path) -> None:
    temporary.replace(to)


def _write_shard(path: Path, job: UnitJob, files: list[SourceFile], rows: pa.Table) -> bool:
    """Write a shard; says whether it had to be judged what of its files can be used.

    Where a file turns out on the way to be other than it seemed, all is written once more: that is rare, and what was
    given before cannot be taken back.
    """
    known: dict[int, Known] = {}
    while True:
        try:
            return _try_to_write(path, job, files, rows, known)
        except _RewriteError as again:
            known[again.number] = again.known


class _RewriteError(Exception):
    """A shard must be written once more, with something that is known now of a file, by its number in the unit."""

    def __init__(self, number: int, known: Known):
        super().__init__(number, known)
        self.number, self.known = number, known


def _try_to_write(
    path: Path, job: UnitJob, files: list[SourceFile], rows: pa.Table, known: Mapping[int, Known]
) -> bool:
    rejected: list[Rejected] = []
    counts, is_judged = _Counts(), False
    schema = schema_with_features(job.spec)
    with _writer(path, schema) as writer, early_writing(path) as write_early:
        groups = _RowGroups(writer, job.spec, write_early)
        first = 0
        for number, file in enumerate(files):
            for cut in _cuts(number, file, rows.slice(first, file.job.hits), job.spec, known):
                groups.add(cut)
                counts.add(cut)
                rejected += [_rejected(file.job, loss.reason, loss.rows, loss.message) for loss in cut.lost]
                is_judged |= cut.is_judged
            first += file.job.hits
        groups.flush()
        note = {
            "clips": job.spec.to_json(),
            "source_set": job.source_set,
            "files": [(file.job.audio_path, file.digest) for file in files],
            **asdict(counts),
            "rejected": [asdict(entry) for entry in rejected],
        }
        writer.add_key_value_metadata({FILE_KEY: orjson.dumps(note, option=orjson.OPT_SORT_KEYS)})
    return is_judged


def _rejected(file: FileJob, reason: str, rows: pa.Table, message: str) -> Rejected:
    return Rejected(file.audio_path, reason, rows.num_rows, count_events(rows), message)


def _cuts(number: int, file: SourceFile, rows: pa.Table, spec: ClipSpec, known: Mapping[int, Known]) -> Iterator[Cut]:
    try:
        yield from cut_file(file, rows, spec, known.get(number))
    except SecondThoughtError as second:
        raise _RewriteError(number, second.known) from second


@dataclass(slots=True)
class _Counts:
    """What a shard's note says of its clips."""

    events: int = 0
    by_split: dict[str, int] = field(default_factory=dict)
    frames_by_split: dict[str, int] = field(default_factory=dict)

    def add(self, cut: Cut) -> None:
        self.events += count_events(cut.rows)
        frames = np.array([len(clip) for clip in cut.clips], np.int64)
        splits = cut.rows["split"].combine_chunks().dictionary_encode()
        for code, split in enumerate(splits.dictionary.to_pylist()):
            mine = frames[splits.indices.to_numpy() == code]
            self.by_split[split] = self.by_split.get(split, 0) + len(mine)
            self.frames_by_split[split] = self.frames_by_split.get(split, 0) + int(mine.sum())


class _RowGroups:
    """Gathers rows and clips of several files into row groups of `ROW_GROUP`, the last one excepted."""

    def __init__(self, writer: pq.ParquetWriter, spec: ClipSpec, written: Callable[[], None]):
        self._writer = writer
        self._written = written
        self._spec = spec
        self._block: ClipBlock | VariedBlock = (
            ClipBlock(spec.window, spec.encoding)
            if spec.fixed_length
            else VariedBlock(spec.window.rate_hz, spec.encoding)
        )
        self._rows: list[pa.Table] = []
        self._pre: list[NDArray[np.int32]] = []

    def add(self, cut: Cut) -> None:
        for start, stop in self._pieces(len(cut.clips)):
            self._rows.append(cut.rows.slice(start, stop - start))
            self._pre.append(cut.pre[start:stop])
            self._block.add(cut.clips[start:stop])
            if not self._block.room:
                self.flush()

    def flush(self) -> None:
        if self._block.rows:
            self._writer.write_table(self._table(), row_group_size=ROW_GROUP)
            self._written()
            self._block.clear()
            self._rows.clear()
            self._pre.clear()

    def _pieces(self, count: int) -> Iterator[tuple[int, int]]:
        start = 0
        while start < count:
            stop = min(count, start + self._block.room)
            yield start, stop
            start = stop

    def _table(self) -> pa.Table:
        rows = pa.concat_tables(self._rows)
        peak, rms = self._block.levels()
        names = pc.binary_join_element_wise(rows["hit_id"].combine_chunks(), f".{self._spec.encoding}", "")
        audio = pa.StructArray.from_arrays(
            [self._block.encoded(), names], fields=list(SHARD_SCHEMA.field("audio").type)
        )
        columns = {name: rows[name] for name in HIT_ROWS.names} | {
            "peak": pa.array(peak),
            "rms": pa.array(rms),
            "sample_rate": pa.array(np.full(self._block.rows, self._spec.window.rate_hz, np.int32)),
            "frames": pa.array(self._block.frames),
            "onset_frame": pa.array(np.concatenate(self._pre)),
            "audio": audio,
        }
        return pa.table([columns[name] for name in SHARD_SCHEMA.names], schema=self._writer.schema)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer with fixed options, for they show in the bytes. Packing the text would save a part in 500."""
    return pq.ParquetWriter(
        path,
        schema,
        compression="none",
        use_dictionary=_TEXT,
        write_statistics=[name for name in _LEAVES if "." not in name],
        version="2.6",
        data_page_version="1.0",
    )

"""Planning an export: which files make a unit, and what a unit's shard will be called. Pure: reads and writes nothing.

Units are content-defined. A file with many hits stands alone; smaller ones are packed in the order of their paths, and
whether a unit may end after a file is decided by a hash of that file's path. A file that comes or goes therefore
disturbs the unit it falls into and at times its neighbours, never all that follow.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beatsight_core.dataset.shards.shard_schema import ClipSpec
from beatsight_core.files import digest_bytes, digest_json

JUDGEMENT = 2
"""Version of the rules by which it is judged what of a file that is not whole can be used; the first had no number."""

MIN_UNIT = 0.5
MAX_UNIT = 3
"""A unit of packed files holds at least and at most this many times `unit_hits`, unless a lone file cuts it short."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """An audio file and its hits.

    Attributes:
        audio_path: Path of the file as the manifest names it.
        hits: Number of rows in the hits' table.
        events: Number of events in these hits.
        root: Root that it was found in; None if the file cannot be had.
        size: Size of the file in bytes.
        mtime_ns: Time of its last change.
        frames: Number of samples per channel.
        loss: Reason that its hits are counted under if it cannot be had.
        reason: Reason why it cannot be had, for a person.
        spelt: Path of the file as the drive has it, where that is in another Unicode form.
    """

    audio_path: str
    hits: int
    events: int = 0
    root: str | None = None
    size: int = 0
    mtime_ns: int = 0
    frames: int = 0
    loss: str = "missing_audio"
    reason: str = ""
    spelt: str | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """A group of files that are exported together, as one shard.

    Attributes:
        source_set: Source set of the files.
        first_row: Row of the hits' table that their rows begin at.
        files: Files in the order of their paths; their rows follow one another.
    """

    source_set: str
    first_row: int
    files: tuple[PlannedFile, ...]

    @property
    def rows(self) -> int:
        """Rows of the hits' table."""
        return sum(file.hits for file in self.files)

    @property
    def events(self) -> int:
        """Events in these rows."""
        return sum(file.events for file in self.files)

    @property
    def present(self) -> tuple[PlannedFile, ...]:
        """The files that can be had."""
        return tuple(file for file in self.files if file.root is not None)

    @property
    def hits(self) -> int:
        """Hits in the files that can be had."""
        return sum(file.hits for file in self.present)


def plan_units(source_set: str, files: Iterable[PlannedFile], unit_hits: int, first_row: int) -> list[Unit]:
    """Group the files of a source set into units.

    Args:
        source_set: Name of the source set.
        files: Files in the order of the hits' table, also those that cannot be had.
        unit_hits: Number of hits that a unit holds on average; a file with as many stands alone.
        first_row: Row of the hits' table that the source set begins at.

    Returns:
        Units that cover all rows, in order.
    """
    units = []
    for group in pack(files, unit_hits):
        units.append(Unit(source_set, first_row, group))
        first_row += units[-1].rows
    return units


def pack(files: Iterable[PlannedFile], unit_hits: int) -> Iterator[tuple[PlannedFile, ...]]:
    """Yield the content-defined groups of a sequence of files."""
    group: list[PlannedFile] = []
    held = 0
    for file in files:
        alone = file.hits >= unit_hits
        if group and (alone or held + file.hits > MAX_UNIT * unit_hits):
            yield tuple(group)
            group, held = [], 0
        group.append(file)
        held += file.hits
        if alone or (held >= MIN_UNIT * unit_hits and _may_end(file, unit_hits)):
            yield tuple(group)
            group, held = [], 0
    if group:
        yield tuple(group)


def _may_end(file: PlannedFile, unit_hits: int) -> bool:
    """Whether a unit may end after this file: by chance, the chance being the hash of its path.

    The odds make a unit hold `unit_hits` on average. They are taken from the hits rounded to a power of two, so that an
    event more or less hardly ever moves a boundary.
    """
    rounded = 1 << max(file.hits * 4 // 3, 1).bit_length() - 1
    chance = int.from_bytes(hashlib.sha256(file.audio_path.encode()).digest()[:8], "big") / 2**64
    return chance * (1 - MIN_UNIT) * unit_hits < rounded


def rows_digest(rows: pa.Table) -> str:
    """Return the digest of some rows of the hits' table.

    It covers values alone, whatever library, chunking or slicing gave them.

    Args:
        rows: Rows with the columns and types of `HIT_ROWS`, and `WINDOW_FIELDS` where clips differ in length.
    """
    rows = rows.combine_chunks()
    parts: list[bytes] = []
    for field in rows.schema:
        parts.append(field.name.encode())
        column = rows.column(field.name)
        for chunk in column.chunks:
            parts.extend(_value_bytes(chunk))
    return digest_bytes(*parts)


@dataclass(frozen=True, slots=True)
class ShardNames:
    """The two names that a unit's shard may have: each the digest of all that determines its bytes.

    Attributes:
        plain: Name where every file was what its header says, and hits were lost only beyond the end of their file.
        judged: Name where rules decided which part of a file can be used; other rules may decide otherwise one day.
    """

    plain: str
    judged: str


def shard_names(spec: ClipSpec, contents: Iterable[tuple[str, str]], rows: pa.Table) -> ShardNames:
    """Return the two names that a unit's shard may have.

    Args:
        spec: Shape of the clips; holds the format version and the taxonomy.
        contents: Pairs (audio_path, content digest) of each file, in order.
        rows: Hits in those files.
    """
    inputs = {"clips": spec.to_json(), "files": list(contents), "rows": rows_digest(rows)}
    return ShardNames(digest_json(inputs), digest_json({**inputs, "judged": JUDGEMENT}))


def _value_bytes(array: pa.Array) -> Iterator[bytes]:
    """The values of an array as bytes that depend on nothing else: validity, lengths, contents."""
    yield np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes()
    kind = array.type
    if pa.types.is_list(kind):
        yield pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).tobytes()
        yield from _value_bytes(pc.list_flatten(array))
    elif pa.types.is_string(kind):
        filled = array.fill_null("")
        yield pc.binary_length(filled).to_numpy(zero_copy_only=False).tobytes()
        yield _string_bytes(filled)
    elif pa.types.is_boolean(kind):
        yield array.fill_null(False).to_numpy(zero_copy_only=False).tobytes()
    else:
        yield array.fill_null(0).to_numpy(zero_copy_only=False).tobytes()


def _string_bytes(array: pa.Array) -> bytes:
    """The text of all strings of an array, one after the other."""
    _, offsets, data = array.buffers()
    if len(array) == 0 or data is None:
        return b""
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]].tobytes()

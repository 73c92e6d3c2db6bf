"""A manifest that grew at its end: what an earlier catalog knows of it is not parsed again.

An earlier catalog serves if the manifest begins with exactly the bytes that it was made of (by their SHA-256) and
settings say the same of them. A manifest is cut into chunks that do not depend on what follows, so all of them save the
last are as before: their events are read from the earlier `events.parquet`, their rejections from `rejected.jsonl`, and
their counts from `chunks.jsonl`. The last one, which may have ended in half a line, is parsed with what is new.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from beatsight_core.files import storage_errors
from beatsight_core.manifest.catalog import Catalog, broken_files, list_catalogs
from beatsight_core.manifest.catalog_counts import dictionary_parts
from beatsight_core.manifest.events import EVENT_SCHEMA
from beatsight_core.manifest.identity import is_compressed
from beatsight_core.manifest.parsing.checks import UnknownLabels
from beatsight_core.manifest.parsing.chunks import TakenChunk
from beatsight_core.manifest.parsing.columns import label_bits
from beatsight_core.manifest.parsing.parse import ChunkResult, Rejection
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import Taxonomy

_PLAIN = frozenset({"event_id", "techniques"})
"""Columns of text that a chunk does not hold as dictionaries."""

_DICTIONARIES = [
    f"{column.name}.list.element" if pa.types.is_list(column.type) else column.name
    for column in EVENT_SCHEMA
    if column.name not in _PLAIN and column.type in (pa.string(), pa.list_(pa.string()))
]


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """What a chunk held: a line of `chunks.jsonl`.

    Attributes:
        size: Bytes of its text.
        lines: Number of all lines.
        read: Number of lines that were not blank.
        kept: Number of lines that were events.
        unknown: Label that the taxonomy lacks -> components.
        unknown_in: Source sets with such labels.
    """

    size: int
    lines: int
    read: int
    kept: int
    unknown: dict[str, int]
    unknown_in: list[str]

    def to_line(self) -> bytes:
        """Return the record as a line of JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_APPEND_NEWLINE)


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A chunk that an earlier catalog knows.

    Attributes:
        events_path: File of the earlier catalog's events.
        row_group: Number of the row group with the events of this chunk; None if it had no event.
        first_line: Number of the chunk's first line.
        record: Counts of what the chunk held.
        rejections: Lines of the chunk that are not events.
        taxonomy: Taxonomy with the class order.
        spill_path: File to write what hits need of the events to.
    """

    events_path: Path
    row_group: int | None
    first_line: int
    record: ChunkRecord
    rejections: list[Rejection]
    taxonomy: Taxonomy
    spill_path: Path

    def run(self) -> TakenChunk:
        """Read the chunk from the earlier catalog, in the form in which parsing would give it."""
        events = pa.RecordBatch.from_pylist([], schema=EVENT_SCHEMA)
        bits = np.zeros(0, np.uint64)
        if self.row_group is not None:
            events = self._events(self.row_group)
            labels = events.column("labels")
            codes, names = dictionary_parts(labels.values)
            classes = np.array([self.taxonomy.index[name] for name in names], np.int64)[codes]
            bits = label_bits(classes, np.diff(labels.offsets.to_numpy()))
        record = self.record
        unknown = UnknownLabels(Counter(record.unknown), set(record.unknown_in))
        nowhere = np.full(events.num_rows, -1)  # offsets are only asked of events that repeat an id, and none does
        result = ChunkResult(record.lines, record.read, events, nowhere, bits, self.rejections, unknown)
        return TakenChunk.of(record.size, result, self.spill_path)

    def _events(self, row_group: int) -> pa.RecordBatch:
        with storage_errors(self.events_path), pq.ParquetFile(self.events_path, read_dictionary=_DICTIONARIES) as file:
            table = file.read_row_group(row_group).combine_chunks()
        columns = {name: _single(table[name]) for name in EVENT_SCHEMA.names}
        columns["line"] = pa.array(columns["line"].to_numpy() - self.first_line)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


@dataclass(frozen=True, slots=True)
class Growth:
    """What an earlier catalog knows of a manifest.

    Attributes:
        catalog: Catalog that was made earlier.
        records: Records of the chunks that it knows.
    """

    catalog: Catalog
    records: tuple[ChunkRecord, ...]

    @property
    def bytes(self) -> int:
        """Bytes of the manifest, from its beginning, that the known chunks cover."""
        return sum(record.size for record in self.records)

    def jobs(self, taxonomy: Taxonomy, spill_paths: Iterator[Path]) -> Iterator[KnownJob]:
        """Yield the known chunks, in order."""
        line, groups = 1, 0
        path = self.catalog.rejected_path
        with storage_errors(path), path.open("rb") as rejected:
            for record, spill_path in zip(self.records, spill_paths, strict=False):
                rows = (orjson.loads(rejected.readline()) for _ in range(record.read - record.kept))
                rejections = [
                    Rejection(row["line"] - line, row["offset"], row["reason"], row["message"]) for row in rows
                ]
                group = groups if record.kept else None
                yield KnownJob(self.catalog.events_path, group, line, record, rejections, taxonomy, spill_path)
                line, groups = line + record.lines, groups + (record.kept > 0)


def earlier_catalogs(settings: Settings, path: Path, size: int) -> list[Catalog]:
    """Return the catalogs of manifests that this one may have grown from, the greatest first."""
    if is_compressed(path):
        return []
    found = [catalog for catalog in list_catalogs(settings) if _may_serve(catalog, size)]
    return sorted(found, key=lambda catalog: (-catalog.summary.bytes, catalog.key))


def grown_from(catalogs: Sequence[Catalog], prefixes: dict[int, str]) -> Growth | None:
    """Return what the first of these catalogs knows whose manifest is the beginning of this one; None if there is none.

    Args:
        catalogs: Catalogs whose settings say the same as the present ones, the greatest first.
        prefixes: Digests of the manifest's first so many bytes, by the size of each catalog's manifest.
    """
    for catalog in catalogs:
        if prefixes.get(catalog.summary.bytes) == catalog.summary.sha256 and not broken_files(catalog.folder):
            with storage_errors(catalog.chunks_path):
                lines = catalog.chunks_path.read_bytes().splitlines()
            records = tuple(ChunkRecord(**orjson.loads(line)) for line in lines[:-1])
            return Growth(catalog, records) if records else None
    return None


def _may_serve(catalog: Catalog, size: int) -> bool:
    summary = catalog.summary
    return summary.limit is None and summary.bytes <= size and not is_compressed(Path(summary.manifest))


def _single(column: pa.ChunkedArray) -> Any:
    """A column as one array; a list's items are named as those of a parsed chunk."""
    array = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    return pa.ListArray.from_arrays(array.offsets, array.values) if pa.types.is_list(array.type) else array

"""Writing the tables of a catalog: Parquet by row groups as they come, plain columns whatever they came as."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_UNLIKE = frozenset({"line", "event_id", "event_ids", "hit_id", "onset_time", "previous_gap", "next_gap"})
"""Columns whose values hardly repeat, so that a dictionary of them would be wasted work."""


class TableWriter:
    """Writes one Parquet file.

    Columns may come as dictionaries, which is the quickest way to write them; the file shows plain ones.

    Args:
        path: Path of the file.
        schema: Names and types of the columns that the file shows.
    """

    def __init__(self, path: Path, schema: pa.Schema):
        self._path, self._schema = path, schema
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    def write(self, columns: Sequence[Any], rows: int, group: int | None = None) -> None:
        """Write columns, in the schema's order, in row groups of `group` rows; types must never change."""
        if rows:
            writer = self._writer or self._open([column.type for column in columns])
            writer.write_table(pa.table(columns, schema=writer.schema), row_group_size=group or rows)
            self.rows += rows

    def close(self) -> None:
        """Finish the file; one without rows still has its columns."""
        (self._writer or self._open(self._schema.types)).close()

    def _open(self, types: Sequence[pa.DataType]) -> pq.ParquetWriter:
        fields = [known.with_type(kind) for known, kind in zip(self._schema, types, strict=True)]
        self._writer = pq.ParquetWriter(
            self._path,
            pa.schema(fields),
            compression="zstd",
            compression_level=1,
            use_dictionary=[_leaf(known) for known in self._schema if known.name not in _UNLIKE],
            write_statistics=["line", "source_set", "session_id", "audio_path", "onset_time"],
            store_schema=False,  # it would show the dictionaries
        )
        return self._writer

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._writer is not None:
            self._writer.close()


def _leaf(column: pa.Field) -> str:
    return f"{column.name}.list.element" if pa.types.is_list(column.type) else str(column.name)

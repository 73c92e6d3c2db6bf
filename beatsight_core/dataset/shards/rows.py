"""Reading the rows of units from a catalog's hits, in one pass and bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beatsight_core.dataset.export_plan import Unit
from beatsight_core.dataset.shards.shard_schema import HIT_COLUMNS, HIT_ROWS, WINDOW_FIELDS
from beatsight_core.errors import DatasetError
from beatsight_core.files import storage_errors

_BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class HitRows:
    """The hits of a catalog, to be read unit by unit.

    Attributes:
        path: File `hits.parquet` of the catalog.
        windows: Array (hits, 2) from `contexts.hit_windows` where clips differ in length; it becomes two more columns.
    """

    path: Path
    windows: NDArray[np.int32] | None = None

    def of_units(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, pa.Table]]:
        """Yield each unit with the rows of its files that can be had, as `HIT_ROWS`.

        Args:
            units: Units in the order of their rows; rows between them are skipped.

        Raises:
            DatasetError: The rows are not those that the units were planned from.
        """
        if not units:
            return
        held: list[pa.Table] = []
        start = stop = 0
        with storage_errors(self.path), pq.ParquetFile(self.path) as file:
            batches = _batches(file, units)
            for unit in units:
                end = unit.first_row + unit.rows
                while stop < end:
                    first, batch = next(batches, (0, None))
                    if batch is None:
                        raise _disagreement(self.path)
                    if first != stop:
                        held, start = [], first
                    held.append(batch)
                    stop = first + batch.num_rows
                rows = pa.concat_tables(held)
                yield unit, self._present(unit, rows.slice(unit.first_row - start, unit.rows))
                held, start = [rows.slice(end - start)], end

    def _present(self, unit: Unit, rows: pa.Table) -> pa.Table:
        if self.windows is not None:
            mine = self.windows[unit.first_row : unit.first_row + unit.rows]
            for side, column in enumerate(WINDOW_FIELDS):
                rows = rows.append_column(column, pa.array(mine[:, side]))
        first = 0
        kept = []
        for file in unit.files:
            part = rows.slice(first, file.hits)
            ends = {part["audio_path"][0].as_py(), part["audio_path"][-1].as_py(), file.audio_path}
            if len(ends) > 1:
                raise _disagreement(self.path)
            if file.root is not None:
                kept.append(part)
            first += file.hits
        return pa.concat_tables(kept) if kept else rows.slice(0, 0)


def rows_bytes(rows: pa.Table) -> bytes:
    """Return rows in Arrow's stream format, without what lies around them in memory."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _batches(file: pq.ParquetFile, units: Sequence[Unit]) -> Iterator[tuple[int, pa.Table]]:
    """(first row, rows) of the row groups that units lie in, in pieces."""
    first_wanted, last_wanted = units[0].first_row, units[-1].first_row + units[-1].rows
    first = 0
    for group in range(file.num_row_groups):
        after = first + file.metadata.row_group(group).num_rows
        if first < last_wanted and after > first_wanted:
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=list(HIT_COLUMNS)):
                yield first, pa.Table.from_batches([batch]).select(HIT_COLUMNS).cast(HIT_ROWS)
                first += batch.num_rows
        first = after


def _disagreement(hits_path: Path) -> DatasetError:
    return DatasetError(
        "The catalog and the audio inventory do not fit together", where=hits_path, do="run the same command again"
    )

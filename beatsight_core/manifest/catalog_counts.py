"""What a catalog counts while its events go by: performances, labels, techniques."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class RecordedSession(NamedTuple):
    """A session as far as splits are concerned: what it was recorded into, and by whom, on what, and where."""

    source_set: str
    audio_path: str
    session_id: str
    drummer_id: str | None
    kit_id: str | None
    room_id: str | None


@dataclass
class CatalogCounts:
    """Counts of events.

    Attributes:
        performances: Events of each combination that occurs.
        labels: Events' components by label.
        techniques: Events by technique.
    """

    performances: Counter[RecordedSession] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    techniques: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, events: pa.RecordBatch) -> "CatalogCounts":
        """Count the events of a chunk."""
        tally = cls()
        if events.num_rows:
            performances, lengths = performance_runs(events)
            for performance, length in zip(performances, lengths.tolist(), strict=True):
                tally.performances[performance] += length
            tally.labels = count_values(events.column("labels"))
            tally.techniques = count_values(events.column("techniques"))
        return tally

    def merge(self, other: "CatalogCounts") -> None:
        """Add another's counts."""
        self.performances.update(other.performances)
        self.labels.update(other.labels)
        self.techniques.update(other.techniques)

    def events_by_source(self) -> dict[str, int]:
        """Source set -> events."""
        counts: Counter[str] = Counter()
        for performance, count in self.performances.items():
            counts[performance.source_set] += count
        return dict(sorted(counts.items()))

    def files(self) -> list[tuple[tuple[str, str], int]]:
        """(source set, audio path) and events of each file, in order."""
        counts: Counter[tuple[str, str]] = Counter()
        for performance, count in self.performances.items():
            counts[performance[:2]] += count
        return sorted(counts.items())

    def sessions(self) -> int:
        """How many different sessions there are."""
        return len({performance.session_id for performance in self.performances})


def dictionary_parts(column: pa.Array) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Codes (-1 for null) and values of a column, which may or may not be a dictionary already."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    codes = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64, copy=False), column.dictionary.to_pylist()


def count_values(column: pa.Array) -> Counter[str]:
    """How often each value occurs in a column of strings, or of lists of strings."""
    codes, values = dictionary_parts(column.flatten() if pa.types.is_list(column.type) else column)
    counts = np.bincount(codes[codes >= 0], minlength=len(values)).tolist()
    return Counter({value: count for value, count in zip(values, counts, strict=True) if count})


def performance_runs(events: pa.RecordBatch) -> tuple[list[RecordedSession], npt.NDArray[np.int64]]:
    """The performances of events in their order, and how many follow one another: mostly they are neighbours."""
    if not events.num_rows:
        return [], np.zeros(0, np.int64)
    parts = [dictionary_parts(events.column(name)) for name in RecordedSession._fields]
    table = np.stack([codes for codes, _ in parts])
    starts = np.flatnonzero(np.concatenate([[True], (table[:, 1:] != table[:, :-1]).any(axis=0)]))
    columns = [_named(codes[starts], values) for codes, values in parts]
    return list(map(RecordedSession._make, zip(*columns, strict=True))), np.diff(np.append(starts, events.num_rows))


def _named(codes: npt.NDArray[np.int64], values: Sequence[str]) -> list[str | None]:
    return [values[code] if code >= 0 else None for code in codes.tolist()]

"""The number of events and different strokes of each session in each audio file, for sampling weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from beatsight_core.files import storage_errors
from beatsight_core.manifest.catalog_counts import RecordedSession, dictionary_parts, performance_runs
from beatsight_core.manifest.parsing.columns import label_bits
from beatsight_core.manifest.parsing.repeats import Strokes, stroke_keys

Place = tuple[str, str, str]
"""Source set, session id and audio path."""


@dataclass(frozen=True, slots=True)
class SessionPart:
    """A session in one audio file.

    Attributes:
        source_set: Source set of its events.
        session_id: The session.
        audio_path: The file.
        events: Number of events.
        different: Number of events that do not repeat session, onset and components of another; what several files of a
            session hold counts for the first of them.
    """

    source_set: str
    session_id: str
    audio_path: str
    events: int
    different: int


class SessionParts:
    """A counter of the parts of sessions while events go by; their order plays no part."""

    def __init__(self) -> None:
        self._numbers: dict[Place, int] = {}
        self._counts: list[int] = []
        self._strokes = Strokes()

    def add(self, events: pa.RecordBatch, bits: npt.NDArray[np.uint64]) -> None:
        """Count the events of a chunk; `bits` is the set of components of each."""
        performances, lengths = performance_runs(events)
        numbers = []
        for performance, length in zip(performances, lengths.tolist(), strict=True):
            place = (performance.source_set, performance.session_id, performance.audio_path)
            number = self._numbers.setdefault(place, len(self._counts))
            if number == len(self._counts):
                self._counts.append(0)
            self._counts[number] += length
            numbers.append(number)
        keys = stroke_keys(events.column("session_id"), events.column("onset_time").to_numpy(), bits)
        self._strokes.add(*keys, np.repeat(np.array(numbers, np.int32), lengths))

    def parts(self) -> list[SessionPart]:
        """Return all parts, ordered by source set, session and file."""
        order = sorted(self._numbers)
        ranks = np.empty(len(order), np.int64)
        ranks[[self._numbers[place] for place in order]] = np.arange(len(order))
        different = self._strokes.different(ranks).tolist()
        return [
            SessionPart(*place, self._counts[self._numbers[place]], different[rank]) for rank, place in enumerate(order)
        ]


def count_sessions(events_path: Path) -> list[SessionPart]:
    """Return the parts of sessions in the events of a catalog, read a row group at a time."""
    parts = SessionParts()
    classes: dict[str, int] = {}
    names = [*RecordedSession._fields, "onset_time", "labels"]
    with storage_errors(events_path), pq.ParquetFile(events_path, read_dictionary=["session_id"]) as file:
        for number in range(file.num_row_groups):
            (events,) = file.read_row_group(number, columns=names).combine_chunks().to_batches()
            labels = events.column("labels")
            codes, values = dictionary_parts(labels.values)
            bits = np.array([classes.setdefault(value, len(classes)) for value in values])
            parts.add(events, label_bits(bits[codes], np.diff(labels.offsets.to_numpy())))
    return parts.parts()

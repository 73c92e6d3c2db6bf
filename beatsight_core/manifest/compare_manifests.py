"""A comparison of two versions of a manifest by event id: what the new one adds, drops and changes.

Two passes over each catalog in memory that grows by 24 bytes an event: the first makes a key of every id and a digest
of every event, the second counts the events that turned out to differ.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from beatsight_core.manifest.catalog import Catalog
from beatsight_core.manifest.parsing.repeats import text_keys
from beatsight_core.typed_json import JsonObject, to_json

GROUPINGS = ("source_set", "session_id", "label", "technique")
KINDS = ("added", "dropped", "changed")

_PLACE = ("line", "event_id")
"""Columns that are not content."""

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Comparison:
    """The differences of two catalogs.

    Attributes:
        before: Key of the earlier catalog.
        after: Key of the later catalog.
        added: Events that only the second has.
        dropped: Events that only the first has.
        changed: Events of both whose content differs in anything but the line.
        unchanged: Events of both that are the same.
        by_source: Source set -> {"added", "dropped", "changed"}; those of changed events as in the second.
        by_session: Session id -> the same counts.
        by_label: Component -> the same counts; an event counts once for each of its components.
        by_technique: Technique -> the same counts.
    """

    before: str
    after: str
    added: int
    dropped: int
    changed: int
    unchanged: int
    by_source: Counts
    by_session: Counts
    by_label: Counts
    by_technique: Counts

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.dropped or self.changed)

    def to_json(self) -> JsonObject:
        """Return the differences as `--json` prints them."""
        return to_json(self)


def compare_catalogs(a: Catalog, b: Catalog) -> Comparison:
    """Compare an earlier catalog `a` with a later one `b`."""
    before, after = _Index.of(a.events_path), _Index.of(b.events_path)
    place_in_after, place_in_before = before.places_in(after), after.places_in(before)
    added = place_in_before < 0
    changed = ~added & (before.content[place_in_before] != after.content)
    counts: dict[str, dict[str, Counter[str]]] = {name: {kind: Counter() for kind in KINDS} for name in GROUPINGS}
    _count(a.events_path, {"dropped": place_in_after < 0}, counts)
    _count(b.events_path, {"added": added, "changed": changed}, counts)
    return Comparison(
        a.key,
        b.key,
        int(added.sum()),
        int((place_in_after < 0).sum()),
        int(changed.sum()),
        int((~added & ~changed).sum()),
        *(_table(counts[name]) for name in GROUPINGS),
    )


@dataclass(frozen=True)
class _Index:
    """Of every event of a catalog, in its order, the key of the id (two halves) and the digest of the content."""

    high: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]
    content: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, path: Path) -> "_Index":
        parts = []
        for frame in _frames(path):
            high, low = text_keys(frame["event_id"].to_arrow())
            parts.append((high, low, frame.drop(_PLACE).hash_rows().to_numpy()))
        return cls(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def places_in(self, other: "_Index") -> npt.NDArray[np.int64]:
        """Where each event is in another index, -1 if it is not there."""
        order = np.lexsort((other.low, other.high))
        high, low = other.high[order], other.low[order]
        place = np.searchsorted(high, self.high)
        found = np.full(len(self.high), -1, np.int64)
        open_ = np.flatnonzero(place < len(high))
        while True:  # once, unless two keys share their first half
            open_ = open_[high[place[open_]] == self.high[open_]]
            if not len(open_):
                return found
            match = low[place[open_]] == self.low[open_]
            found[open_[match]] = order[place[open_[match]]]
            open_ = open_[~match]
            place[open_] += 1
            open_ = open_[place[open_] < len(high)]


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield pl.DataFrame(file.read_row_group(group))


def _count(path: Path, masks: dict[str, npt.NDArray[np.bool_]], counts: dict[str, dict[str, Counter[str]]]) -> None:
    if not any(mask.any() for mask in masks.values()):
        return
    start = 0
    for frame in _frames(path):
        stop = start + len(frame)
        for kind, mask in masks.items():
            if mask[start:stop].any():
                rows = frame.filter(pl.Series(mask[start:stop]))
                columns = {
                    "source_set": rows["source_set"],
                    "session_id": rows["session_id"],
                    "label": rows["labels"].list.unique().explode(),
                    "technique": rows["techniques"].list.unique().explode(),
                }
                for name, column in columns.items():
                    counts[name][kind].update(dict(column.drop_nulls().value_counts().iter_rows()))
        start = stop


def _table(counts: dict[str, Counter[str]]) -> Counts:
    names = sorted(set().union(*counts.values()))
    return {name: {kind: counts[kind][name] for kind in KINDS} for name in names}

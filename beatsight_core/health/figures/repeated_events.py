"""Events that say the same again: same session, same onset, same components. The catalog counts them; here is where."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from beatsight_core.manifest.read_manifest import Catalog

LISTED = 20
_BETWEEN = "\x1f"


@dataclass(frozen=True, slots=True)
class RepeatingSession:
    """A session in which events repeat others.

    Attributes:
        source_set: Name of its source set.
        session_id: Name of the session.
        repeats: Number of its events that repeat another.
    """

    source_set: str
    session_id: str
    repeats: int


@dataclass(frozen=True, slots=True)
class RepeatedEvents:
    """Events that repeat another.

    Attributes:
        events: Number of events that repeat another.
        rate: Share of all events.
        by_source: Source set -> such events.
        sessions: Sessions that hold most of them, the worst first.
    """

    events: int
    rate: float
    by_source: Mapping[str, int]
    sessions: tuple[RepeatingSession, ...]


def repeated_events(catalog: Catalog) -> RepeatedEvents:
    """Return how many events repeat another, as a share of all, and which sessions hold most of them.

    Args:
        catalog: Catalog of the events.
    """
    repeated, kept = catalog.summary.duplicates, catalog.summary.kept
    where = (
        _where(catalog)
        if repeated
        else pl.DataFrame(schema={"source_set": pl.String, "session_id": pl.String, "repeats": pl.UInt32})
    )
    by_source = where.group_by("source_set").agg(pl.col("repeats").sum()).sort("source_set")
    worst = where.sort("repeats", "session_id", descending=[True, False]).head(LISTED)
    return RepeatedEvents(
        events=repeated,
        rate=repeated / kept if kept else 0.0,
        by_source=dict(by_source.iter_rows()),
        sessions=tuple(
            RepeatingSession(*row) for row in worst.select("source_set", "session_id", "repeats").iter_rows()
        ),
    )


def _where(catalog: Catalog) -> pl.DataFrame:
    """Return source set, session, repeats. Rows are compared by a 64-bit hash, which keeps millions of them small."""
    events = pl.scan_parquet(catalog.events_path, glob=False).select("source_set", "session_id", "onset_time", "labels")
    single = pl.col("labels").list.len() == 1
    # Components are compared as a set. Nearly all events have one, which needs no sorting.
    ones = events.filter(single).with_columns(pl.col("labels").list.first())
    more = events.filter(~single).with_columns(pl.col("labels").list.unique().list.sort().list.join(_BETWEEN))
    marked = pl.concat([ones, more]).select(
        "source_set", "session_id", mark=pl.struct("session_id", "onset_time", "labels").hash()
    )
    counted = marked.group_by("source_set", "session_id").agg(repeats=pl.len() - pl.col("mark").n_unique())
    return counted.filter(pl.col("repeats") > 0).collect(engine="streaming")

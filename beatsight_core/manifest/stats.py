"""The counts of a manifest by source set, label, technique, session and split, and of its refused lines."""

from dataclasses import dataclass

import polars as pl

from beatsight_core.manifest.catalog import Catalog
from beatsight_core.manifest.sampling import Sampling
from beatsight_core.typed_json import JsonObject, to_json

_SESSION = ("source_set", "session_id", "events", pl.col("hits").fill_null(0), "duplicates", "split", "weight")


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session in one row.

    Attributes:
        source_set: Name of its source set.
        session_id: Id of the session.
        events: Number of events.
        hits: Number of hits.
        duplicates: Number of events that repeat another.
        split: Split of the session; None if it has no hit.
        weight: Sampling weight of the session.
    """

    source_set: str
    session_id: str
    events: int
    hits: int
    duplicates: int
    split: str | None
    weight: float


@dataclass(frozen=True)
class ManifestStats:
    """The counts of a catalog.

    Attributes:
        key: Key of the manifest.
        read: Lines that are not blank.
        kept: Events.
        rejects: Reason -> lines.
        duplicates: Events that repeat session, onset and components of another.
        unknown_labels: Label that the taxonomy lacks -> components.
        by_source: Source set -> events, hits, sessions, files, and the middle weight of its sessions.
        by_label: Component -> events and hits.
        by_technique: Technique -> events.
        by_split: Split -> hits and sessions.
        by_session: Row of each session.
    """

    key: str
    read: int
    kept: int
    rejects: dict[str, int]
    duplicates: int
    unknown_labels: dict[str, int]
    by_source: dict[str, dict[str, float]]
    by_label: dict[str, dict[str, int]]
    by_technique: dict[str, int]
    by_split: dict[str, dict[str, int]]
    by_session: tuple[SessionRow, ...]

    def to_json(self) -> JsonObject:
        """Return the counts as `--json` prints them."""
        return to_json(self)


def manifest_stats(catalog: Catalog, sampling: Sampling) -> ManifestStats:
    """Return the counts of a catalog.

    Raises:
        StorageError: The manifest cannot be read.
    """
    summary, sessions = catalog.summary, sampling.sessions
    hits = (
        pl.scan_parquet(catalog.hits_path, glob=False)
        .group_by("source_set", "session_id", "split")
        .agg(pl.len().cast(pl.Int64).alias("hits"))
        .collect(engine="streaming")
    )
    table = sessions.join(hits, on=["source_set", "session_id"], how="left").sort("source_set", "session_id")
    files = sessions.select("source_set", "files").explode("files").unique().group_by("source_set").len()
    of_files = dict(files.iter_rows())
    splits = hits.group_by("split").agg(pl.col("hits").sum(), pl.col("session_id").n_unique().alias("sessions"))
    by_split = {row.pop("split"): row for row in splits.iter_rows(named=True)}
    weights = sampling.by_source()
    return ManifestStats(
        key=catalog.key,
        read=summary.read,
        kept=summary.kept,
        rejects=summary.rejects_by_reason,
        duplicates=summary.duplicates,
        unknown_labels=summary.unknown_labels,
        by_source={
            name: {
                "events": events,
                "hits": summary.hits_by_source.get(name, 0),
                "sessions": weights[name]["sessions"],
                "files": of_files[name],
                "weight": weights[name]["median"],
            }
            for name, events in summary.events_by_source.items()
        },
        by_label={
            label: {"events": events, "hits": summary.hits_by_label.get(label, 0)}
            for label, events in summary.events_by_label.items()
        },
        by_technique=summary.techniques,
        by_split={split: by_split.get(split, {"hits": 0, "sessions": 0}) for split in summary.hits_by_split},
        by_session=tuple(SessionRow(*row) for row in table.select(_SESSION).iter_rows()),
    )

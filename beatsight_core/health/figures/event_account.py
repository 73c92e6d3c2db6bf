"""Where every event of a catalog went: into a clip, or not, and why. Event by event, from what is on disk.

    events of a source set = events in its clips + events lost for a reason, each once

Counts and a sum of hashes are compared first, as they cost no memory; only where they differ are ids compared with ids.
A source set that was not exported is accounted for by its files. Before any export, the audio inventory says what
would be lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from beatsight_core.audio.inventory import Inventory
from beatsight_core.audio.roots import Status
from beatsight_core.dataset.index import Index, index_paths, read_index
from beatsight_core.dataset.page.figures import broken_shard
from beatsight_core.dataset.shards.shard_schema import shard_name
from beatsight_core.dataset.shards.write_shard import REASONS
from beatsight_core.files import plain_file
from beatsight_core.health.figures.event_figures import id_mark
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.settings import Settings

UNACCOUNTED = "unaccounted"
"""The reason of a lost event for which the index has none: a gap."""

LISTED = 20

_LOST = {
    "line": pl.Int64, "event_id": pl.String, "session_id": pl.String, "source_set": pl.String,
    "audio_path": pl.String, "onset_time": pl.Float64, "reason": pl.String,
}  # fmt: skip
_FAULTS = {"source_set": pl.String, "event_id": pl.String, "fault": pl.String}
_FILE = ["source_set", "audio_path"]


@dataclass(frozen=True, slots=True)
class CountCheck:
    """A count and the one that it must equal.

    Attributes:
        name: Name of the comparison.
        expected: Count that it must be.
        found: Count that it is.
        gap: Number of those at fault; 0 where both agree.
        examples: Ids of some at fault.
    """

    name: str
    expected: int
    found: int
    gap: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventMark:
    """The events of some hits or clips, as they are compared before their ids are.

    Attributes:
        count: Number of events.
        mark: Figure that is the same for the same ids in any order.
    """

    count: int
    mark: int


NO_EVENTS = EventMark(0, 0)


@dataclass(frozen=True, slots=True)
class Account:
    """Where the events of a catalog went.

    Attributes:
        exported: True where an export says so; else the audio inventory does.
        kept: Events that are in a clip, or would be.
        lost: Row per event that is not: line, event_id, session_id, source_set, audio_path, onset_time, reason.
        not_exported: Files of source sets without an index: source_set, audio_path, hits, events.
        at_fault: Events that are lost, foreign or repeated without a reason: source_set, event_id, fault.
        checks: Comparison for each source set.
    """

    exported: bool
    kept: int
    lost: pl.DataFrame
    not_exported: pl.DataFrame
    at_fault: pl.DataFrame
    checks: tuple[CountCheck, ...]

    def reasons(self) -> dict[str, int]:
        """Return reason -> events that are in no clip for it; reasons of an export are always named."""
        named = self.lost.filter(pl.col("reason") != UNACCOUNTED)
        counted = dict(named.group_by("reason").len().iter_rows())
        return dict.fromkeys(REASONS, 0) | {reason: counted[reason] for reason in sorted(counted)}


def account_for_events(settings: Settings, catalog: Catalog, inventory: Inventory) -> Account:
    """Follow the events of a catalog to their clips.

    Args:
        settings: Folders of datasets.
        catalog: Catalog of the events and hits.
        inventory: Audio inventory of the catalog.

    Raises:
        DatasetError: An index or a shard cannot be read.
    """
    indexes = {index.source_set: index for index in map(read_index, index_paths(settings, catalog.key))}
    if not indexes:
        return _from_inventory(catalog, inventory)
    clips = _clips(settings, indexes.values())
    try:
        lost = pl.concat([_lost(catalog, clips, index) for index in indexes.values()])
        wanted, held = _counted(pl.scan_parquet(catalog.hits_path, glob=False)), _counted(clips)
        found = [
            _compare(catalog, clips, lost, name, wanted.get(name, NO_EVENTS), held.get(name, NO_EVENTS))
            for name in sorted(indexes)
        ]
    except (OSError, pl.exceptions.PolarsError) as error:
        raise broken_shard(settings.shards_dir, error) from error
    absent = inventory.files.filter(~pl.col("source_set").is_in(list(indexes))).select(*_FILE, "hits", "events")
    return Account(
        exported=True,
        kept=sum(events.count for events in held.values()),
        lost=lost,
        not_exported=absent,
        at_fault=pl.concat([one.at_fault for one in found]),
        checks=tuple(one.check for one in found),
    )


def at_fault(wanted: pl.LazyFrame, held: pl.LazyFrame) -> pl.DataFrame:
    """Return ids that are in one of two columns `event_id` only, or several times in the second.

    Args:
        wanted: Ids that must be there.
        held: Ids that are there.

    Returns:
        event_id and fault: "lost" (not held), "foreign" (not wanted) or "repeated" (held more than once).
    """
    times = held.group_by("event_id").len()
    frames = pl.collect_all(
        [
            wanted.join(times, on="event_id", how="anti").select("event_id"),
            times.join(wanted, on="event_id", how="anti").select("event_id"),
            times.filter(pl.col("len") > 1).select("event_id"),
        ],
        engine="streaming",
    )
    faults = zip(frames, ("lost", "foreign", "repeated"), strict=True)
    return pl.concat([frame.sort("event_id").with_columns(fault=pl.lit(fault)) for frame, fault in faults])


def _from_inventory(catalog: Catalog, inventory: Inventory) -> Account:
    """Return what the audio inventory says: files that are gone or broken, events at or after the end of theirs."""
    files = inventory.files
    reason = pl.when(pl.col("status") == Status.UNREADABLE).then(pl.lit("unreadable_audio")).otherwise(
        pl.when(pl.col("status") == Status.OK).then(pl.lit("past_end")).otherwise(pl.lit("missing_audio"))
    )  # fmt: skip
    troubled = files.filter((pl.col("status") != Status.OK) | (pl.col("events_past_end") > 0)).select(
        *_FILE, "sample_rate", "onset_end", reason=reason
    )
    # In the order of lines without a sort, which would hold millions of rows twice.
    events = pl.scan_parquet(catalog.events_path, glob=False).join(
        troubled.lazy(), on=_FILE, how="inner", maintain_order="left"
    )
    inside = (pl.col("onset_time") * pl.col("sample_rate") + 0.5).floor() < pl.col("onset_end")
    lost = events.filter((pl.col("reason") != "past_end") | ~inside).select(*_LOST).collect(engine="streaming")
    whole = files.filter(pl.col("status") == Status.OK)
    return Account(
        exported=False,
        kept=int(whole["events"].sum()) - int(whole["events_past_end"].sum()),
        lost=lost,
        not_exported=pl.DataFrame(schema={**dict.fromkeys(_FILE, pl.String), "hits": pl.Int64, "events": pl.Int64}),
        at_fault=pl.DataFrame(schema=_FAULTS),
        checks=(),
    )


def _clips(settings: Settings, indexes: Iterable[Index]) -> pl.LazyFrame:
    """Return source_set, audio_path, hit_id, event_ids of every clip on disk."""
    digests = dict.fromkeys(shard.digest for index in indexes for shard in index.shards)
    columns = (*_FILE, "hit_id", "event_ids")
    if not digests:
        return pl.LazyFrame(schema={**dict.fromkeys(columns, pl.String()), "event_ids": pl.List(pl.String)})
    paths = [plain_file(settings.shards_dir / shard_name(digest)) for digest in digests]
    return pl.scan_parquet(paths, glob=False).select(columns)


def _counted(rows: pl.LazyFrame) -> dict[str, EventMark]:
    """Return source set -> events of some hits or clips."""
    ids = rows.select("source_set", "event_ids").explode("event_ids").drop_nulls("event_ids")
    counted = ids.group_by("source_set").agg(pl.len(), mark=id_mark("event_ids")).collect(engine="streaming")
    return {name: EventMark(count, mark) for name, count, mark in counted.iter_rows()}


def _lost(catalog: Catalog, clips: pl.LazyFrame, index: Index) -> pl.DataFrame:
    """Return events of files that lost hits, as far as they are in no clip, each with the reason its index gives."""
    entries = _entries(index)
    if entries.is_empty():
        return pl.DataFrame(schema=_LOST)
    mine = (pl.col("source_set") == index.source_set) & pl.col("audio_path").is_in(entries["audio_path"].to_list())
    hits = (
        pl.scan_parquet(catalog.hits_path, glob=False).filter(mine).select("hit_id", *_FILE, "onset_time", "event_ids")
    )
    without = hits.join(clips.filter(mine).select("hit_id"), on="hit_id", how="anti")
    # Hits beyond the end are the last of their file; so they are counted off from there.
    latest_first = pl.col("onset_time").rank("ordinal", descending=True).over("audio_path") - 1
    ranked = without.with_columns(place=latest_first).join(entries.lazy(), on="audio_path", how="left")
    given = ranked.filter((pl.col("place") >= pl.col("first")) & (pl.col("place") < pl.col("after")))
    none = without.join(given.select("hit_id"), on="hit_id", how="anti").with_columns(reason=pl.lit(UNACCOUNTED))
    named = pl.concat([frame.select("event_ids", "reason") for frame in (given, none)])
    ids = named.explode("event_ids").rename({"event_ids": "event_id"})
    events = pl.scan_parquet(catalog.events_path, glob=False).filter(mine)
    joined = events.join(ids, on="event_id", how="inner", maintain_order="left")
    return joined.select(*_LOST).collect(engine="streaming")


def _entries(index: Index) -> pl.DataFrame:
    """Return audio_path, reason, and for which of a file's lost hits it is, counted back: `first` to `after`."""
    rows = [(entry.audio_path, entry.reason, entry.hits) for entry in index.rejected_files]
    entries = pl.DataFrame(rows, schema=["audio_path", "reason", "hits"], orient="row").cast(
        {"audio_path": pl.String, "reason": pl.String, "hits": pl.Int64}
    )
    summed = entries.group_by("audio_path", "reason").agg(pl.col("hits").sum())
    ordered = summed.sort("audio_path", pl.col("reason") != "past_end", "reason")
    after = pl.col("hits").cum_sum().over("audio_path")
    return ordered.select("audio_path", "reason", first=after - pl.col("hits"), after=after)


@dataclass(frozen=True, slots=True)
class _Compared:
    """The comparison of one source set, and its events at fault."""

    check: CountCheck
    at_fault: pl.DataFrame


def _compare(
    catalog: Catalog, clips: pl.LazyFrame, lost: pl.DataFrame, name: str, expected: EventMark, held: EventMark
) -> _Compared:
    mine = pl.col("source_set") == name
    gone = lost.filter(mine & (pl.col("reason") != UNACCOUNTED))
    found = EventMark(held.count + gone.height, held.mark + int(gone.select(id_mark("event_id")).item() or 0))
    faults = pl.DataFrame(schema=_FAULTS)
    if expected != found:
        wanted, in_clips = (
            rows.filter(mine).select(event_id="event_ids").explode("event_id").drop_nulls()
            for rows in (pl.scan_parquet(catalog.hits_path, glob=False), clips)
        )
        either = pl.concat([in_clips, gone.lazy().select("event_id")])
        faults = at_fault(wanted, either).select(pl.lit(name).alias("source_set"), "event_id", "fault")
    check = CountCheck(
        name=f"events of {name} = in clips + lost for a reason",
        expected=expected.count,
        found=found.count,
        gap=max(faults.height, abs(expected.count - found.count)),
        examples=tuple(faults["event_id"].head(LISTED)),
    )
    return _Compared(check, faults)

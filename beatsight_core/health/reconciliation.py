"""Whether the numbers agree from the manifest's lines to the exported clips. A gap of one is a failure.

lines read       = events kept + lines rejected
events kept      = rows of events.parquet
lines rejected   = rows of rejected.jsonl
events           = the events of all hits, each once
hits             = rows of hits.parquet
events           = the events of all files in the audio inventory
hits of a source = its exported clips + its hits rejected at export, by reason
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from beatsight_core.manifest.reader import Catalog

LISTED = 20


def reconcile(
    catalog: Catalog, summary: Mapping[str, Any], frames: Mapping[str, pl.DataFrame], figures: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Compare every count with the one it must equal.

    Args:
        catalog: Whose tables are searched for the events at fault, if there are any.
        summary: The catalog's own figures.
        frames: Collected plans of events and hits.
        figures: What `statistics` has so far.

    Returns:
        For each comparison `name`, `expected`, `found`, `gap` (how many are at fault) and `examples` (ids of them).
    """
    rows = frames["event_ids"]["len"][0]
    checks = [
        _equal("lines read = kept + rejected", summary["read"], summary["kept"] + summary["rejected"]),
        _equal("lines rejected = lines quarantined", summary["rejected"], figures["rejects"]["lines"]),
        _equal("events kept = rows of events", summary["kept"], rows),
        _equal("hits counted = rows of hits", summary["hits"], figures["hits"]["hits"]),
        _same_events(catalog, frames),
    ]
    if figures["audio"]:
        listed = sum(source["events"] for source in figures["audio"]["by_source"].values())
        checks.append(_equal("events = events of the audio inventory", rows, listed))
    for name, source in (figures["export"] or {}).get("by_source", {}).items():
        accounted = source["hits"] + sum(source["rejected"].values())
        checks.append(
            _equal(f"hits of {name} = exported + rejected", figures["hits"]["hits_by_source"].get(name, 0), accounted)
        )
    return checks


def _equal(name: str, expected: int, found: int) -> dict[str, Any]:
    return {"name": name, "expected": expected, "found": found, "gap": abs(expected - found), "examples": []}


def _same_events(catalog: Catalog, frames: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """Every event is in exactly one hit. Only where the marks differ are the ids themselves compared."""
    events, hits = frames["event_ids"], frames["hit_event_ids"]
    check = _equal("events = events of all hits", events["len"][0], hits["len"][0])
    if events.row(0) == hits.row(0):
        return check
    wanted = pl.scan_parquet(catalog.events_path).select("event_id")
    held = pl.scan_parquet(catalog.hits_path).select(event_id="event_ids").explode("event_id").drop_nulls()
    times = held.group_by("event_id").len()
    lost, foreign, repeated = pl.collect_all(
        [
            wanted.join(times, on="event_id", how="anti").sort("event_id"),
            times.join(wanted, on="event_id", how="anti").sort("event_id"),
            times.filter(pl.col("len") > 1).sort("event_id"),
        ],
        engine="streaming",
    )
    at_fault = pl.concat([frame["event_id"] for frame in (lost, foreign, repeated)])
    return check | {"gap": max(at_fault.len(), check["gap"]), "examples": at_fault.head(LISTED).to_list()}

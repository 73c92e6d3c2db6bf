"""Whether the numbers agree from the manifest's lines to the exported clips. A gap of one is a failure.

lines read       = events kept + lines rejected
events kept      = rows of events.parquet
lines rejected   = rows of rejected.jsonl
events           = the events of all hits, each once
hits             = rows of hits.parquet
events           = the events of all files in the audio inventory
hits of a source = its exported clips + its hits rejected at export, by reason; a source set not exported has neither
events of a source = the events in its clips + those lost for a reason, each once (`event_account.py`)
lines read       = lines refused + events lost, by reason + events not exported + events in clips
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from beatsight_core.health.figures.event_account import LISTED, Account, at_fault
from beatsight_core.manifest.read_manifest import Catalog

REFUSED, NOT_EXPORTED, IN_CLIPS, WITH_AUDIO = "refused", "not_exported", "in_clips", "with_audio"
"""What a line of the manifest can come to, beside the reasons for which an event is in no clip."""

_SAME_EVENTS = "events = events of all hits"


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
    if figures["export"]:
        checks += _exported_hits(figures["hits"]["hits_by_source"], figures["export"]["by_source"])
    return checks


def whereabouts(summary: Mapping[str, Any], account: Account) -> dict[str, int]:
    """What every line of the manifest came to: refused, lost for a reason, not exported, in a clip. The sum is all."""
    return {
        REFUSED: int(summary["rejected"]),
        **account.reasons(),
        **({NOT_EXPORTED: int(account.not_exported["events"].sum())} if account.exported else {}),
        IN_CLIPS if account.exported else WITH_AUDIO: account.kept,
    }


def account_checks(summary: Mapping[str, Any], account: Account) -> list[dict[str, Any]]:
    """The comparisons that an account of every event makes possible."""
    went = whereabouts(summary, account)
    unaccounted = account.at_fault["event_id"].head(LISTED).to_list()
    kept = "in clips" if account.exported else "with audio"
    name = f"lines read = refused + lost for a reason + {kept}"
    return [*account.checks, _equal(name, summary["read"], sum(went.values())) | {"examples": unaccounted}]


def misplaced_events(catalog: Catalog, checks: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Events that are not in exactly one hit, as `event_account.at_fault` gives them; looked for only if there are any.

    Args:
        catalog: Whose tables are compared.
        checks: As `reconcile` gives them.
    """
    if not any(check["gap"] for check in checks if check["name"] == _SAME_EVENTS):
        return pl.DataFrame(schema={"event_id": pl.String, "fault": pl.String})
    return _misplaced(catalog)


def _misplaced(catalog: Catalog) -> pl.DataFrame:
    wanted = pl.scan_parquet(catalog.events_path, glob=False).select("event_id")
    held = pl.scan_parquet(catalog.hits_path, glob=False).select(event_id="event_ids").explode("event_id").drop_nulls()
    return at_fault(wanted, held)


def _exported_hits(wanted: Mapping[str, int], exported: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every source set of the catalog; one without an index has no hit that is accounted for."""
    accounted = {name: source["hits"] + sum(source["rejected"].values()) for name, source in exported.items()}
    return [
        _equal(f"hits of {name} = exported + rejected", wanted.get(name, 0), accounted.get(name, 0))
        for name in sorted({*wanted, *accounted})
    ]


def _equal(name: str, expected: int, found: int) -> dict[str, Any]:
    return {"name": name, "expected": expected, "found": found, "gap": abs(expected - found), "examples": []}


def _same_events(catalog: Catalog, frames: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """Every event is in exactly one hit. Only where the marks differ are the ids themselves compared."""
    events, hits = frames["event_ids"], frames["hit_event_ids"]
    check = _equal(_SAME_EVENTS, events["len"][0], hits["len"][0])
    if events.row(0) == hits.row(0):
        return check
    faults = _misplaced(catalog)["event_id"]
    return check | {"gap": max(faults.len(), check["gap"]), "examples": faults.head(LISTED).to_list()}

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
from dataclasses import replace

import polars as pl

from beatsight_core.audio.inventory_figures import AudioFigures
from beatsight_core.health.figures.event_account import LISTED, Account, CountCheck, at_fault
from beatsight_core.health.figures.export_figures import ExportFigures, SourceExport
from beatsight_core.health.figures.hit_figures import HitFigures
from beatsight_core.health.figures.rejects import RejectFigures
from beatsight_core.manifest.read_manifest import Catalog

REFUSED, NOT_EXPORTED, IN_CLIPS, WITH_AUDIO = "refused", "not_exported", "in_clips", "with_audio"
"""What a line of the manifest can come to, beside the reasons for which an event is in no clip."""

_SAME_EVENTS = "events = events of all hits"


def reconcile(
    catalog: Catalog,
    frames: Mapping[str, pl.DataFrame],
    rejects: RejectFigures,
    hits: HitFigures,
    audio: AudioFigures | None,
    export: ExportFigures | None,
) -> tuple[CountCheck, ...]:
    """Compare every count with the one it must equal.

    Args:
        catalog: Catalog whose tables are searched for the events at fault, if there are any.
        frames: Results of the plans of events and hits.
        rejects: Figures of the lines that were refused.
        hits: Figures of the hits.
        audio: Figures of the audio, if it was looked for.
        export: Figures of the dataset, if there is one.
    """
    summary, rows = catalog.summary, frames["event_ids"]["len"][0]
    checks = [
        _equal("lines read = kept + rejected", summary.read, summary.kept + summary.rejected),
        _equal("lines rejected = lines quarantined", summary.rejected, rejects.lines),
        _equal("events kept = rows of events", summary.kept, rows),
        _equal("hits counted = rows of hits", summary.hits, hits.hits),
        _same_events(catalog, frames),
    ]
    if audio:
        listed = sum(source.events for source in audio.by_source.values())
        checks.append(_equal("events = events of the audio inventory", rows, listed))
    if export:
        checks += _exported_hits(hits.hits_by_source, export.by_source)
    return tuple(checks)


def whereabouts(catalog: Catalog, account: Account) -> dict[str, int]:
    """Return what the lines of the manifest came to: refused, lost for a reason, not exported, in a clip.

    The sum is the number of lines that were read.
    """
    return {
        REFUSED: catalog.summary.rejected,
        **account.reasons(),
        **({NOT_EXPORTED: int(account.not_exported["events"].sum())} if account.exported else {}),
        IN_CLIPS if account.exported else WITH_AUDIO: account.kept,
    }


def account_checks(catalog: Catalog, account: Account) -> tuple[CountCheck, ...]:
    """Return the comparisons that an account of every event makes possible."""
    kept = "in clips" if account.exported else "with audio"
    name = f"lines read = refused + lost for a reason + {kept}"
    whole = _equal(name, catalog.summary.read, sum(whereabouts(catalog, account).values()))
    return (*account.checks, replace(whole, examples=tuple(account.at_fault["event_id"].head(LISTED))))


def misplaced_events(catalog: Catalog, checks: Sequence[CountCheck]) -> pl.DataFrame:
    """Return events that are not in exactly one hit, as `event_account.at_fault` gives them.

    They are looked for only if there are any.

    Args:
        catalog: Catalog whose tables are compared.
        checks: Comparisons of `reconcile`.
    """
    if not any(check.gap for check in checks if check.name == _SAME_EVENTS):
        return pl.DataFrame(schema={"event_id": pl.String, "fault": pl.String})
    return _misplaced(catalog)


def _misplaced(catalog: Catalog) -> pl.DataFrame:
    wanted = pl.scan_parquet(catalog.events_path, glob=False).select("event_id")
    held = pl.scan_parquet(catalog.hits_path, glob=False).select(event_id="event_ids").explode("event_id").drop_nulls()
    return at_fault(wanted, held)


def _exported_hits(wanted: Mapping[str, int], exported: Mapping[str, SourceExport]) -> list[CountCheck]:
    """Compare the hits of every source set; one without an index has no hit that is accounted for."""
    accounted = {name: source.hits + sum(source.rejected.values()) for name, source in exported.items()}
    return [
        _equal(f"hits of {name} = exported + rejected", wanted.get(name, 0), accounted.get(name, 0))
        for name in sorted({*wanted, *accounted})
    ]


def _equal(name: str, expected: int, found: int) -> CountCheck:
    return CountCheck(name, expected, found, abs(expected - found))


def _same_events(catalog: Catalog, frames: Mapping[str, pl.DataFrame]) -> CountCheck:
    """Compare events with those of all hits, each once. Only where the marks differ are the ids themselves compared."""
    events, hits = frames["event_ids"], frames["hit_event_ids"]
    check = _equal(_SAME_EVENTS, events["len"][0], hits["len"][0])
    if events.row(0) == hits.row(0):
        return check
    faults = _misplaced(catalog)["event_id"]
    return replace(check, gap=max(faults.len(), check.gap), examples=tuple(faults.head(LISTED)))

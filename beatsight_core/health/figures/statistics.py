"""All figures of a corpus in one JSON-safe dictionary: what was asked for, what is there, and whether the two agree.

The scans of both tables run together in one pass over each; the figures are taken from their small results.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from beatsight_core.audio.inventory import Inventory
from beatsight_core.errors import DatasetError
from beatsight_core.health.figures.event_account import Account
from beatsight_core.health.figures.event_figures import event_figures, event_plans
from beatsight_core.health.figures.hit_figures import hit_figures, hit_plans
from beatsight_core.health.figures.leakage import leakage
from beatsight_core.health.figures.reconciliation import account_checks, reconcile, whereabouts
from beatsight_core.health.figures.rejects import rejects
from beatsight_core.health.figures.repeated_events import duplicates
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import taxonomy_named


def statistics(
    settings: Settings,
    catalog: Catalog,
    inventory: Inventory | None = None,
    export: Mapping[str, Any] | None = None,
    sound: Mapping[str, Any] | None = None,
    account: Account | None = None,
) -> dict[str, Any]:
    """Measure a corpus.

    Args:
        settings: Name the taxonomy and the clip's length.
        catalog: The events and hits.
        inventory: Their audio, if it was looked for.
        export: `export_figures.export_figures` of the dataset, if there is one.
        sound: `sound_figures.sound_figures` of the dataset.
        account: `event_account.account_for_events` of the catalog.

    Returns:
        JSON-safe figures: `totals`, `events`, `hits`, `duplicates`, `unknown_labels`, `leakage`, `rejects`, `audio`
        (None without an inventory), `export` and `sound` (None without a dataset), `reconciliation`,
        `whereabouts` (None without an account).

    Raises:
        DatasetError: The catalog cannot be read.
    """
    taxonomy = taxonomy_named(settings.taxonomy)
    summary = catalog.summary.to_json()
    frames = _collect(catalog)
    events = event_figures(frames, taxonomy)
    clip_s = (settings.dataset.pre_ms + settings.dataset.tail_ms) / 1000
    hits = hit_figures(frames, taxonomy, clip_s, settings.dataset.val_ratio)
    repeated = duplicates(catalog, summary)
    figures: dict[str, Any] = {
        "taxonomy": taxonomy.name,
        "events": events,
        "hits": hits,
        "duplicates": repeated,
        "unknown_labels": summary["unknown_labels"],
        "leakage": leakage(frames["sessions"], inventory.files if inventory else None),
        "rejects": rejects(catalog, summary),
        "split_notes": list(summary["split_notes"]),
        "corrections": dict(catalog.summary.corrections),
        "audio": inventory.to_json() if inventory else None,
        "export": export,
        "sound": sound,
    }
    figures["reconciliation"] = reconcile(catalog, summary, frames, figures)
    figures["whereabouts"] = whereabouts(summary, account) if account else None
    figures["reconciliation"] += account_checks(summary, account) if account else []
    figures["totals"] = _totals(summary, figures)
    return figures


def _collect(catalog: Catalog) -> dict[str, pl.DataFrame]:
    try:
        plans = {
            **event_plans(pl.scan_parquet(catalog.events_path, glob=False)),
            **hit_plans(pl.scan_parquet(catalog.hits_path, glob=False)),
        }
        return dict(zip(plans, pl.collect_all(list(plans.values()), engine="streaming"), strict=True))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DatasetError(
            "The catalog cannot be read",
            where=catalog.folder,
            why=str(error).splitlines()[0],
            do="delete that folder and run the same command again",
        ) from error


def _totals(summary: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    """The headline figures."""
    events, hits, audio = figures["events"], figures["hits"], figures["audio"]
    return {
        "read": summary["read"],
        "kept": summary["kept"],
        "rejected": summary["rejected"],
        "events": events["events"],
        "real_events": events["events"] - events["synthetic_events"],
        "synthetic_events": events["synthetic_events"],
        "negative_events": events["negative_events"],
        "hits": hits["hits"],
        "real_hits": hits["hits"] - hits["synthetic_hits"],
        "synthetic_hits": hits["synthetic_hits"],
        "simultaneous_hits": hits["simultaneous_hits"],
        "simultaneous_rate": hits["simultaneous_rate"],
        "sessions": summary["sessions"],
        "files": summary["files"],
        "sources": len(hits["sources"]),
        "clip_seconds": sum(split["seconds"] for split in hits["splits"].values()),
        "audio_seconds": sum(source["seconds"] for source in audio["by_source"].values()) if audio else None,
        "duplicates": figures["duplicates"]["events"],
        "duplication_rate": figures["duplicates"]["rate"],
        "unknown_labels": sum(figures["unknown_labels"].values()),
        "exported_hits": figures["export"]["hits"] if figures["export"] else None,
    }

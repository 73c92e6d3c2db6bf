"""Verbs of manifests: check, diff."""

from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.verb import Session, verb


@click.group()
def manifest() -> None:
    """Look at manifests."""


@click.argument("manifest")
@verb
def check(session: Session, manifest: str) -> int:
    """Read MANIFEST into the catalog and say what was kept and what was rejected, and why."""
    from beatsight_core.manifest.reader import build_catalog

    catalog = build_catalog(session.settings, manifest, progress=session.progress)
    session.show(catalog.summary.to_json(), _show_summary)
    return 0


def _show_summary(result: dict[str, Any]) -> None:
    text.headline(
        f"{result['key']}: {result['read']:,} lines, {result['kept']:,} kept, {result['rejected']:,} rejected"
    )
    names = ("hits", "sessions", "files", "duplicates", "rejects_by_reason", "events_by_source", "hits_by_split")
    text.figures({name.replace("_", " "): result.get(name) for name in (*names, "split_notes")})
    by_label, events = result["hits_by_label"], result["events_by_label"]
    rows = [{"component": label, "events": events.get(label, 0), "hits": count} for label, count in by_label.items()]
    text.table(rows, ["component", "events", "hits"], "Components")

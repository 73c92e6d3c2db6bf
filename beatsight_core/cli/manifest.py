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


@click.argument("new")
@click.argument("old")
@verb
def diff(session: Session, old: str, new: str) -> int:
    """Say what manifest NEW adds, drops and changes over OLD."""
    from beatsight_core.manifest.compare import compare_catalogs
    from beatsight_core.manifest.reader import build_catalog

    before, after = (build_catalog(session.settings, ref, progress=session.progress) for ref in (old, new))
    session.show(compare_catalogs(before, after).to_json(), _show_diff)
    return 0


manifest.add_command(check)
manifest.add_command(diff)


def _show_summary(result: dict[str, Any]) -> None:
    text.headline(
        f"{result['key']}: {result['read']:,} lines, {result['kept']:,} kept, {result['rejected']:,} rejected"
    )
    names = ("hits", "sessions", "files", "duplicates", "rejects_by_reason", "events_by_source", "hits_by_split")
    text.figures({name.replace("_", " "): result.get(name) for name in (*names, "split_notes")})
    by_label, events = result["hits_by_label"], result["events_by_label"]
    rows = [{"component": label, "events": events.get(label, 0), "hits": count} for label, count in by_label.items()]
    text.table(rows, ["component", "events", "hits"], "Components")


def _show_diff(result: dict[str, Any]) -> None:
    text.headline(f"{result['after']} over {result['before']}")
    text.figures({name: result[name] for name in ("added", "dropped", "changed", "unchanged")})
    for grouping in ("source", "label", "technique", "session"):
        rows = [{grouping: name, **counts} for name, counts in result[f"by_{grouping}"].items()]
        text.table(rows, [grouping, "added", "dropped", "changed"])

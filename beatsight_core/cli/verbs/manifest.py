"""Verbs of manifests: check, stats, diff, merge, retry, forget."""

from pathlib import Path
from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.manifest_argument import MANIFEST, manifest_argument
from beatsight_core.cli.path_type import OUTPUT_PATH
from beatsight_core.cli.verb import Session, verb
from beatsight_core.cli.verbs.forget import forget, retry
from beatsight_core.taxonomy import suggestions, taxonomy_named
from beatsight_core.typed_json import JsonObject

_LISTED = 20
"""Rows of a long table that a terminal gets."""


@click.group()
def manifest() -> None:
    """Look at manifests, compare them, and make one of several."""


@manifest_argument()
@verb
def check(session: Session, manifest: str) -> int:
    """Read MANIFEST into the catalog and say what was kept and what was rejected, and why; exit 1 if it is too much."""
    from beatsight_core.gates.corpus_limits import profile_of
    from beatsight_core.health.reject_gate import reject_gate
    from beatsight_core.manifest.read_manifest import build_catalog
    from beatsight_core.manifest.refused import refused_figures
    from beatsight_core.manifest.sampling import read_sampling

    catalog = build_catalog(session.settings, manifest, progress=session.progress)
    sampling = read_sampling(session.settings, catalog)
    summary = catalog.summary.to_json()
    gate = reject_gate(
        refused_figures(summary, catalog.rejected_path), profile_of(session.settings.gates).max_reject_rate
    )
    meant = suggestions(catalog.summary.unknown_labels, taxonomy_named(session.settings.taxonomy))
    weights: JsonObject = {
        "profile": sampling.profile.name,
        "boosts": {**sampling.profile.boosts},
        "by_source": {name: {**row} for name, row in sampling.by_source().items()},
    }
    judged: JsonObject = {"passed": gate.passed, "gates": [gate.to_json()], "suggestions": {**meant}}
    session.show({**summary, "sampling": weights, **judged}, _show_summary)
    return 0 if gate.passed else 1


@manifest_argument()
@verb
def stats(session: Session, manifest: str) -> int:
    """Count what MANIFEST holds by source set, component, technique, session and split, and what was rejected.

    A terminal shows the greatest sessions and techniques; --json gives all.
    """
    from beatsight_core.manifest.read_only import catalog_to_look_at
    from beatsight_core.manifest.sampling import read_sampling
    from beatsight_core.manifest.stats import manifest_stats

    catalog = catalog_to_look_at(session.settings, manifest, progress=session.progress)
    counted = manifest_stats(catalog, read_sampling(session.settings, catalog))
    meant = suggestions(counted.unknown_labels, taxonomy_named(session.settings.taxonomy))
    session.show({**counted.to_json(), "suggestions": {**meant}}, _show_stats)
    return 0


@manifest_argument("new")
@manifest_argument("old")
@verb
def diff(session: Session, old: str, new: str) -> int:
    """Say what manifest NEW adds, drops and changes over OLD."""
    from beatsight_core.manifest.compare_manifests import compare_catalogs
    from beatsight_core.manifest.read_only import catalog_to_look_at

    before, after = (catalog_to_look_at(session.settings, ref, progress=session.progress) for ref in (old, new))
    session.show(compare_catalogs(before, after).to_json(), _show_diff)
    return 0


@click.option("--force", is_flag=True, help="Replace the output if it is there.")
@click.option("--drop-repeats", is_flag=True, help="Leave out events that repeat session, onset and components.")
@click.option(
    "--on-conflict", type=click.Choice(["error", "first", "last"]), default="error", show_default=True,
    help="Events with one id and different content: stop and list them, or keep the first or the last.",
)  # fmt: skip
@click.option("-o", "--output", required=True, type=OUTPUT_PATH, help="The manifest to write: .jsonl, .gz or .zst.")
@click.argument("manifests", nargs=-1, required=True, type=MANIFEST)
@verb
def merge(
    session: Session, *, manifests: tuple[str, ...], output: Path, on_conflict: str, drop_repeats: bool, force: bool
) -> int:
    """Write the union of MANIFESTS, each a path, a name in the inbox or a key, in that order.

    Lines are kept byte for byte. Events of the same id and content are written once.
    """
    from beatsight_core.manifest.identity import resolve_manifest
    from beatsight_core.manifest.merge import merge_manifests
    from beatsight_core.workers import worker_count

    inputs = [resolve_manifest(session.settings, ref) for ref in manifests]
    result = merge_manifests(
        inputs, output, on_conflict=on_conflict, drop_repeats=drop_repeats, force=force,
        workers=worker_count(session.settings.dataset.workers), progress=session.progress,
    )  # fmt: skip
    session.show(result.to_json(), _show_merge)
    session.about = str(output)
    return 0


for _verb in (check, stats, diff, merge, retry, forget):
    manifest.add_command(_verb)


def _show_summary(result: dict[str, Any]) -> None:
    text.headline(
        f"{result['key']}: {result['read']:,} lines, {result['kept']:,} kept, {result['rejected']:,} rejected"
    )
    names = ("hits", "sessions", "files", "duplicates", "rejects_by_reason", "events_by_source", "hits_by_split")
    text.figures({name.replace("_", " "): result.get(name) for name in (*names, "split_notes", "corrections")})
    text.gates(result["gates"], "Too much?")
    _show_unknown(result)
    by_label, events = result["hits_by_label"], result["events_by_label"]
    rows = [{"component": label, "events": events.get(label, 0), "hits": count} for label, count in by_label.items()]
    text.table(rows, ["component", "events", "hits"], "Components")
    weights = [{"source_set": name, **row} for name, row in result["sampling"]["by_source"].items()]
    columns = ["source_set", "sessions", "counted", "least", "median", "most"]
    text.table(weights, columns, f"Weights of sessions ({result['sampling']['profile']})")


def _show_unknown(result: dict[str, Any]) -> None:
    """Print the labels that the taxonomy lacks, most frequent first, with what may be meant."""
    counts = sorted(result["unknown_labels"].items(), key=lambda item: -item[1])
    if not counts:
        return
    meant = result["suggestions"]
    rows = [{"label": label, "strokes": count, "": meant.get(label, "")} for label, count in counts[:_LISTED]]
    text.table(rows, ["label", "strokes", ""], f"{len(counts):,} labels that the taxonomy lacks")
    click.echo("`beatsight taxonomy` lists the labels that there are.")


def _show_stats(result: dict[str, Any]) -> None:
    text.headline(f"{result['key']}: {result['read']:,} lines, {result['kept']:,} events")
    text.figures({"rejected for": result["rejects"], "duplicates": result["duplicates"]})
    _show_unknown(result)
    by_source = [{"source_set": name, **row} for name, row in result["by_source"].items()]
    text.table(by_source, ["source_set", "events", "hits", "sessions", "files", "weight"], "Source sets")
    text.table([{"split": name, **row} for name, row in result["by_split"].items()], ["split", "hits", "sessions"])
    by_label = [{"component": name, **row} for name, row in result["by_label"].items() if row["events"]]
    text.table(by_label, ["component", "events", "hits"], "Components")
    techniques = sorted(result["by_technique"].items(), key=lambda item: -item[1])
    text.table([{"technique": name, "events": count} for name, count in techniques[:_LISTED]], ["technique", "events"])
    sessions = sorted(result["by_session"], key=lambda row: -row["events"])
    title = f"The greatest of {len(sessions):,} sessions"
    text.table(sessions[:_LISTED], ["source_set", "session_id", "events", "hits", "split", "weight"], title)


def _show_diff(result: dict[str, Any]) -> None:
    text.headline(f"{result['after']} over {result['before']}")
    text.figures({name: result[name] for name in ("added", "dropped", "changed", "unchanged")})
    for grouping in ("source", "label", "technique", "session"):
        rows = [{grouping: name, **counts} for name, counts in result[f"by_{grouping}"].items()]
        text.table(rows[:_LISTED], [grouping, "added", "dropped", "changed"])
        if len(rows) > _LISTED:
            click.echo(f"and {len(rows) - _LISTED:,} more: see --json")


def _show_merge(result: dict[str, Any]) -> None:
    text.headline(f"{result['path']}: {result['written']:,} lines")
    text.table([{"manifest": path, "lines": count} for path, count in result["lines"].items()], ["manifest", "lines"])
    names = ("same", "conflicts", "repeats", "repeats_dropped", "without_id")
    text.figures({name.replace("_", " "): result[name] for name in names})

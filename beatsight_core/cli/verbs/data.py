"""Verbs of the data: verify, export, health, features."""

from typing import TYPE_CHECKING, Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.manifest_argument import manifest_argument
from beatsight_core.cli.renamed import say_renamed
from beatsight_core.cli.verb import Session, verb
from beatsight_core.safe_text import for_shell

if TYPE_CHECKING:
    from beatsight_core.dataset.verify_export import CheckResult
    from beatsight_core.features.build import FeatureResult

_LISTED = 20
"""Lost files named on a terminal."""

_limit = click.option("--limit", type=click.IntRange(min=1), help="Only the first N lines, for a smoke run.")


@_limit
@click.option("--deep", is_flag=True, help="Decode every audio file whole, too; what is learned of it is remembered.")
@manifest_argument()
@verb
def verify(session: Session, manifest: str, limit: int | None, deep: bool) -> int:
    """Say what an export of MANIFEST would hold and what it would lack; write nothing.

    Exit 1 if a source set has no mounted root or not one clip, or if too many lines are refused.
    """
    from beatsight_core.dataset.verify_export import verify_manifest
    from beatsight_core.health.verification import judge_verification

    result = verify_manifest(session.settings, manifest, limit=limit, deep=deep, progress=session.progress)
    judged = judge_verification(result, session.settings.gates)
    session.show(judged.to_json(), _show_verify)
    return 0 if judged.passed else 1


@_limit
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: one per core.")
@click.option("--source", "sources", multiple=True, help="Only this source set; may be repeated.")
@click.option("--overwrite", is_flag=True, help="Write every shard again.")
@click.option("--verify", "check", is_flag=True, help="Export nothing: read every shard again and compare digests.")
@click.option("--heal", is_flag=True, help="Like --verify, and make again what is broken or gone.")
@manifest_argument()
@verb
def export(
    session: Session,
    manifest: str,
    *,
    limit: int | None,
    workers: int | None,
    sources: tuple[str, ...],
    overwrite: bool,
    check: bool,
    heal: bool,
) -> int:
    """Export the clips of MANIFEST as Parquet shards; only what is not there yet is written."""
    from beatsight_core.dataset.export import export_dataset
    from beatsight_core.dataset.index import dataset_key
    from beatsight_core.dataset.verify_export import CheckResult, check_dataset

    if check or heal:
        key = dataset_key(session.settings, manifest)
        checked = check_dataset(session.settings, key, heal, progress=session.progress)
        session.show_as(CheckResult, checked.to_json(), _show_check)
        return 0 if checked.passed else 1
    result = export_dataset(
        session.settings, manifest, source_sets=sources or None, limit=limit, workers=workers, overwrite=overwrite,
        progress=session.progress,
    )  # fmt: skip
    session.show(result.to_json(), _show_export)
    return 0


class _JudgeOrApprove(click.Group):
    """`health MANIFEST` judges; `health approve MANIFEST` approves the report."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args[:1] == ["bless"]:
            say_renamed("health bless", "health approve")
            args = ["approve", *args[1:]]
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["judge", *args])


@click.group(cls=_JudgeOrApprove)
def health() -> None:
    """Judge data, and say of which report that it is good."""


@manifest_argument()
@verb
def judge(session: Session, manifest: str) -> int:
    """Judge the data of MANIFEST by its gates and write the report; exit 1 if a gate fails.

    `beatsight health approve MANIFEST` then makes that report the baseline that later ones are held against.
    """
    from beatsight_core.health.report import run_health

    result = run_health(session.settings, manifest, progress=session.progress).to_json()
    session.show(result, _show_health)
    return 0 if result["passed"] else 1


@click.option("--why", help="Why it is good; must be given if gates failed. Kept in the baseline.")
@manifest_argument()
@verb
def approve(session: Session, manifest: str, why: str | None) -> int:
    """Make the health report of MANIFEST the baseline: later reports may not fall far behind it."""
    from beatsight_core.health.approve import approve as carry_out
    from beatsight_core.health.approve import baseline_path
    from beatsight_core.typed_json import to_json

    approval = carry_out(session.settings, manifest, why=why)
    session.show({**to_json(approval), "baseline": str(baseline_path(session.settings))}, _show_approval)
    return 0


health.add_command(judge)
health.add_command(approve)


@click.option("--source", "sources", multiple=True, help="Only this source set; may be repeated.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--verify", "check", is_flag=True, help="Compute nothing: read every feature again, compare digests.")
@click.option("--heal", is_flag=True, help="Like --verify, and make again what is broken or gone.")
@manifest_argument()
@verb
def features(session: Session, manifest: str, *, sources: tuple[str, ...], device: str, check: bool, heal: bool) -> int:
    """Compute the features of every clip of MANIFEST that has none yet."""
    from beatsight_core.compute.hold import device_for
    from beatsight_core.dataset.verify_export import CheckResult
    from beatsight_core.features.build import FeatureResult, build_features
    from beatsight_core.features.verify_cache import check_features

    with device_for("cpu" if check and not heal else device, {"verb": "features"}) as held:
        if check or heal:
            checked = check_features(
                session.settings, manifest, heal, source_sets=sources or None, device=held, progress=session.progress
            )
            session.show_as(CheckResult, checked.to_json(), _show_feature_check)
            return 0 if checked.passed else 1
        result = build_features(
            session.settings, manifest, source_sets=sources or None, device=held, progress=session.progress
        )
    session.show_as(FeatureResult, result.to_json(), _show_features)
    return 0


def _show_verify(result: dict[str, Any]) -> None:
    text.headline(f"{result['read']:,} lines read, {result['kept']:,} kept, {result['rejected']:,} rejected")
    text.figures(
        {
            "rejected for": result.get("rejects_by_reason"),
            "hits": result["hits"],
            "clips an export holds": result.get("clips"),
            "events without audio": result["missing_audio"],
            "events in unreadable audio": result.get("unreadable_audio"),
            "events past the end": result.get("past_end"),
            "files cut short or damaged": result.get("short") or None,
            "files in two roots, with other content": result.get("hidden") or None,
            "copies of other files": _copies(result.get("duplicates", {})),
            "moved": _moved(result.get("corrections", {})),
            "estimated size": text.size(result["estimated_bytes"]) if "estimated_bytes" in result else None,
            "free": text.size(result["free_bytes"]) if "free_bytes" in result else None,
        }
    )
    rows = [{"source_set": name, **seconds} for name, seconds in result["seconds_by_source"].items()]
    splits = sorted({split for seconds in result["seconds_by_source"].values() for split in seconds})
    text.table(rows, ["source_set", *splits], "Seconds of clips")
    text.table(result["roots"], ["source_set", "root", "mounted"], "Roots")
    columns = ["events", "source_set", "audio_path", "why"]
    text.table(result.get("hidden_files", ())[:_LISTED], columns, "Files that lie in two roots, with other content")
    text.table(result.get("noted_files", ())[:_LISTED], columns, "Files that can be used, and what there is to know")
    listed = result["lost_files"][:_LISTED]
    more = len(result["lost_files"]) - len(listed)
    text.table(listed, ["events", "status", "source_set", "audio_path", "why"], "Files that cost events")
    if more:
        click.echo(f"and {more:,} more: see --json, or inventory.parquet in the catalog after an export")
    text.gates(result["gates"], "Worth an export?")


def _moved(corrections: dict[str, Any]) -> str | None:
    """What settings say of onsets."""
    from beatsight_core.manifest.shifts import corrections_notice

    return corrections_notice(corrections)


def _copies(duplicates: dict[str, Any]) -> str | None:
    """Files whose content another has, where digests are known."""
    if not duplicates.get("known"):
        return None
    extra, events = duplicates["extra_files"], duplicates["extra_events"]
    return f"{extra:,} with {events:,} events, of {duplicates['known']:,} files whose digest is known"


def _show_export(result: dict[str, Any]) -> None:
    text.headline(f"{result['key']}: {result['hits']:,} clips in the dataset")
    text.figures(
        {
            "shards": f"{result['shards_written']:,} written, {result['shards_reused']:,} reused",
            "not exported": {reason: count for reason, count in result["rejects_by_reason"].items() if count},
            "clips by source": result.get("clips_by_source"),
            "clips by split": result.get("clips_by_split"),
            "size": text.size(result["bytes"]) if "bytes" in result else None,
            "seconds": result["seconds"],
            "index": "\n".ljust(20).join(map(str, result["index_paths"])),
            "to hear and see": f"beatsight dataset show {for_shell(result['key'])} --html",
        }
    )


def _show_check(result: "CheckResult", what: str = "the dataset") -> None:
    whole = "is whole" if result.passed else "is NOT whole: run it again with --heal"
    text.headline(f"{result.key}: {result.checked:,} shards checked; {what} {whole}")
    text.figures({"broken": result.broken, "missing": result.missing, "healed": result.healed})


def _show_feature_check(result: "CheckResult") -> None:
    _show_check(result, "its feature cache")


def _show_health(result: dict[str, Any]) -> None:
    failed = [gate for gate in result["gates"] if not gate["passed"]]
    verdict = "all gates passed" if not failed else f"{len(failed)} of {len(result['gates'])} gates failed"
    text.headline(f"{result['key']}: {verdict}")
    text.gates(result["gates"], "Gates")
    _show_out_of_time(result["tables"]["out_of_time"])
    for notice in result["tables"]["notices"]:
        click.echo(f"{'Look at this' if notice['state'] == 'warn' else 'Note'}: {notice['text']}")
    text.figures({"report": result["report_html"], "as JSON": result["report_json"]})


def _show_out_of_time(rows: list[dict[str, Any]]) -> None:
    """Sessions whose sound is not where their labels are."""
    columns = ["source_set", "session_id", "found", "shift_ms", "drift_ms", "sure", "clips"]
    text.table(rows[:_LISTED], columns, "Sessions out of time")
    if len(rows) > _LISTED:
        click.echo(f"and {len(rows) - _LISTED:,} more: see out_of_time.jsonl beside the report")


def _show_approval(result: dict[str, Any]) -> None:
    text.headline(f"{result['key']}: this report is the baseline now")
    approved = {"approved by": f"{result['by']} on {result['host']}", "at": result["at"], "why": result["why"] or None}
    failed = ", ".join(result["failed"]) or None
    text.figures({**approved, "although these gates failed": failed, "baseline": result["baseline"]})


def _show_features(result: "FeatureResult") -> None:
    text.headline(f"{result.key}: features of {result.clips:,} clips")
    text.figures(
        {
            "spec": result.spec,
            "shards": f"{result.shards_written:,} written, {result.shards_reused:,} reused",
            "size": text.size(result.bytes),
            "seconds": result.seconds,
        }
    )

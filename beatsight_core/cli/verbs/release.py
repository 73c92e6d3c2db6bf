"""Verbs of the release: promote, rollback, models, archive."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.path_type import OUTPUT_PATH
from beatsight_core.cli.verb import Session, verb
from beatsight_core.typed_json import to_json

if TYPE_CHECKING:
    from beatsight_core.promotion.archive.check_archive import ArchiveChecks
    from beatsight_core.promotion.archive.write_archive import ArchiveResult
    from beatsight_core.promotion.delivery.deliver import Delivery
    from beatsight_core.promotion.external.edit_file import ChangedFile
    from beatsight_core.promotion.external.external_files import PlaceReport
    from beatsight_core.promotion.results import AppliedUpdates, ModelList, RollbackResult, ShownPromotion


@click.option("--force", metavar="REASON", help="Promote although a criterion fails; the reason is kept for ever.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--dry-run", is_flag=True, help="Judge, and show what would change in configurations; promote nothing.")
@click.argument("run")
@verb
def promote(session: Session, run: str, force: str | None, device: str, dry_run: bool) -> int:
    """Judge RUN by the promotion criteria and make it the champion if it passes; exit 1 if it does not."""
    from beatsight_core.compute.hold import device_for
    from beatsight_core.promotion.judge import judged
    from beatsight_core.promotion.preview import preview_promotion
    from beatsight_core.promotion.promote import promote as release
    from beatsight_core.promotion.promote import reason_given
    from beatsight_core.promotion.results import ShownPromotion

    force = reason_given(force)
    with device_for(device, {"verb": "promote", "run": run}, small=True) as held:
        judgement = judged(session.settings, run, device=held, progress=session.progress)
        if not judgement.may_pass(force):
            refused = {**judgement.to_json(), "promoted": False, "version": None}
            session.show_as(ShownPromotion, refused, _show_promotion)
            return 1
        if dry_run:
            preview = preview_promotion(session.settings, judgement, force=force)
            session.show_as(ShownPromotion, preview.to_json(), _show_promotion)
            return 0
        result = release(
            session.settings, run, force=force, device=held, judgement=judgement, progress=session.progress
        ).to_json()
    session.show_as(ShownPromotion, result, _show_promotion)
    if force and judgement.passed:
        click.echo("Every criterion is met, so the reason for force was not needed, and is not kept.", err=True)
    return 0


@click.option("--why", metavar="REASON", help="Kept in the history of champions.")
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.argument("version", required=False)
@verb
def rollback(session: Session, version: str | None, why: str | None, dry_run: bool) -> int:
    """Make the previous champion, or VERSION, the champion again."""
    from beatsight_core.promotion.promote import rollback as back
    from beatsight_core.promotion.results import RollbackResult

    if version is None:  # done already, the same words would go one version further
        session.after_interrupt = "`beatsight models` says which version is in use, and whether to roll back again"
    result = back(session.settings, version, why=why, dry_run=dry_run)
    session.show_as(RollbackResult, result.to_json(), _show_rollback)
    return 0


@click.option(
    "--apply", is_flag=True, help="Bring in line what follows the champion: its files, configurations, pages."
)
@verb
def ls(session: Session, apply: bool) -> int:
    """List the versions, which one is the champion, and how good each is; or hand one over.

    The list changes nothing. It tells which external files, named in [release], do not say what they should; --apply
    writes them, shows every line that changes, and keeps a copy of each configuration as it was.
    """
    from beatsight_core.promotion.promote import apply_pending
    from beatsight_core.promotion.results import AppliedUpdates, ModelList
    from beatsight_core.promotion.version.model_list import list_models

    if apply:
        session.show_as(AppliedUpdates, apply_pending(session.settings).to_json(), _show_applied)
    else:
        session.show_as(ModelList, list_models(session.settings).to_json(), _show_models)
    return 0


@click.pass_context
def _list_unless_told(ctx: click.Context, /, **options: Any) -> None:
    ctx.obj = {"data_root": options["data_root"] or (ctx.obj or {}).get("data_root")}
    if ctx.invoked_subcommand is None:
        ctx.invoke(ls, **options)


models = click.Group("models", callback=_list_unless_told, params=ls.params, help=ls.help, invoke_without_command=True)


@click.option("--to", required=True, type=OUTPUT_PATH, help="A new folder.")
@click.argument("model", required=False)
@verb
def export(session: Session, model: str | None, to: Path) -> int:
    """Write MODEL (a version or a run; default: the champion) as safetensors, .pth and ONNX, and check each form."""
    from beatsight_core.promotion.delivery.deliver import Delivery, export_model

    session.show_as(Delivery, export_model(session.settings, model, to).to_json(), _show_delivery)
    return 0


models.add_command(export)


@click.option("--verify", is_flag=True, help="Look whether archives are what they were; exit 1 if one is not.")
@click.argument("run", required=False)
@verb
def archive(session: Session, run: str | None, verify: bool) -> int:
    """Keep what a later reader needs of RUN (default: the champion's) in reports/archive.

    With --verify, RUN may also be an archive's folder or a day; without it all archives are looked at.
    """
    from beatsight_core.promotion.archive.check_archive import ArchiveChecks, check_archives
    from beatsight_core.promotion.archive.write_archive import ArchiveResult, archive_run
    from beatsight_core.promotion.external.external_files import places_to_tell
    from beatsight_core.runs.records import open_run

    if verify:
        checks = check_archives(session.settings, run)
        whole = all(check.whole for check in checks)
        reports = tuple(each.report for each in places_to_tell(session.settings))
        session.show_as(ArchiveChecks, to_json(ArchiveChecks(whole, tuple(checks), reports)), _show_checks)
        return 0 if whole else 1
    result = archive_run(session.settings, run)
    session.show_as(ArchiveResult, result.to_json(), _show_archive)
    session.about = open_run(session.settings, result.run_id).key
    return 0


def _show_promotion(result: "ShownPromotion") -> None:
    from beatsight_core.promotion.criteria import UNFORCEABLE

    said = f"would be version {result.version}" if result.dry_run else "is refused"
    verdict = f"is version {result.version}, the champion" if result.promoted else said
    text.headline(f"{result.run_id} {verdict}")
    text.gates(result.criteria, "Promotion criteria")
    if result.infrastructure:
        text.gates(result.infrastructure, "The version, loaded in a fresh process")
    text.figures({"notice": result.notice, "forced": result.forced, "folder": result.folder, "record": result.record})
    _show_changes(result.changes, result.untold, dry_run=result.dry_run)
    if not result.promoted and not result.dry_run:
        click.echo("Train longer or on more data, or look at the evaluation's report.")
        if set(result.failed) & set(UNFORCEABLE):
            click.echo("No reason lets a model pass that was not the one judged, or does not load elsewhere.")
        else:
            click.echo("--force REASON promotes it all the same and says so for ever.")


def _show_rollback(result: "RollbackResult") -> None:
    if result.version == result.previous:
        text.headline(f"Version {result.version} is the champion already")
    else:
        verb = "would be" if result.dry_run else "is"
        text.headline(f"Version {result.version} {verb} the champion again (was {result.previous})")
    _show_changes(result.changes, result.untold, dry_run=result.dry_run)


def _show_changes(changes: "Iterable[ChangedFile]", pending: str | None = None, *, dry_run: bool = False) -> None:
    """Print the lines that change, or changed, in external files."""
    for change in changes:
        click.echo(change.diff)
        if not dry_run:
            click.echo(f"As it was: {change.backup}" if change.backup else f"Written: {change.file}")
    if pending:
        click.echo(pending[:1].upper() + pending[1:])


def _show_applied(result: "AppliedUpdates") -> None:
    if result.changes:
        text.headline(f"Version {result.version} is in use, and these files say so now")
    else:
        text.headline(f"Version {result.version} is in use, and everything said so already")
    _show_changes(result.changes)


def _show_external(places: "Sequence[PlaceReport]") -> None:
    """Print external files that do not say what they should, each with the lines that would change."""
    for place in places:
        click.echo(f"{click.style('NOT IN LINE', fg='red', bold=True)} {place.file}, {place.key}: {place.why}")
        if place.diff:
            click.echo(place.diff)
    if any(place.diff for place in places):
        click.echo("Nothing was written. `beatsight models --apply` writes these lines and shows what it did.")


def _show_models(result: "ModelList") -> None:
    columns = ["version", "role", "run_id", "accuracy", "exact_match", "macro_f1", "promoted_at"]
    if result.models:
        text.table(map(to_json, result.models), columns, "Models")
        text.figures({f"version {row.version}": row.notice for row in result.models})
    else:
        text.headline("No model has been promoted yet")
    if challenger := result.challenger:
        verdict = "met every criterion" if challenger.passed else f"failed {', '.join(challenger.failed)}"
        text.headline(f"Challenger: {challenger.run_id}, {verdict} ({challenger.judged_at})")
    changes: list[dict[str, text.Figure]] = [
        {"at": one["at"], "action": one["action"], "version": one["version"], "why": one["why"], "by": one["by"]}
        for one in result.history
    ]
    text.table(changes, ["at", "action", "version", "why", "by"], "Who was champion when")
    if result.interrupted:
        click.echo(f"{click.style('NOT IN LINE', fg='red', bold=True)} {result.interrupted}")
    _show_external(result.external)


def _show_delivery(result: "Delivery") -> None:
    text.headline(f"{result.model} is in {result.folder}" + ("" if result.promoted else " (not promoted)"))
    rows = [{"form": name, "differs at most by": f"{value:.1e}"} for name, value in result.differences.items()]
    text.table(rows, ["form", "differs at most by"], f"Asked in a fresh process about {result.clips} real clips")
    text.figures({"size": text.size(result.bytes)})


def _show_archive(result: "ArchiveResult") -> None:
    text.headline(f"{result.run_id} {'was archived before, and nothing changed' if result.reused else 'is archived'}")
    text.figures({"folder": result.folder, "files": result.files, "size": text.size(result.bytes)})
    for name in result.absent:
        click.echo(f"Not there to be archived: {name}")


def _show_checks(result: "ArchiveChecks") -> None:
    if not result.archives:
        text.headline("Nothing is archived yet")
    for check in result.archives:
        text.headline(f"{check.folder}: {'whole' if check.whole else 'NOT AS IT WAS'}, {check.files} files listed")
        text.figures(
            {"altered": check.altered, "missing": check.missing, "extra": check.extra, "problem": check.problem}
        )
    _show_external(result.external)

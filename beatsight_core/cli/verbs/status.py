"""The verb status: where each manifest stands, and what to type next."""

from typing import TYPE_CHECKING

import click

from beatsight_core.cli import text
from beatsight_core.cli.manifest_argument import manifest_argument
from beatsight_core.cli.next_command import next_line
from beatsight_core.cli.verb import Session, verb

if TYPE_CHECKING:
    from beatsight_core.status.stage import ManifestStatus, Stage, StatusList

_FINDINGS = 3
"""Findings of a stage that the list of all manifests shows."""

_MARKS = {
    "done": ("\u2713", "green"),
    "failed": ("\u2717", "red"),
    "under way": ("\u2026", "cyan"),
    "not yet": ("\u2013", None),
    "out of date": ("!", "yellow"),
}


@manifest_argument(required=False)
@verb
def status(session: Session, manifest: str | None) -> int:
    """Say where each manifest stands: what is done, failed or out of date and why, and what to type next.

    Reads the disk alone, and changes nothing. With MANIFEST, only that one.
    """
    from beatsight_core.status.status_list import list_statuses, status_list_of

    found = list_statuses(session.settings) if manifest is None else status_list_of(session.settings, manifest)
    show_status(session, found, most=_FINDINGS if manifest is None else None)
    return 0


def show_status(session: Session, found: "StatusList", *, most: int | None) -> None:
    """Print where manifests stand, each with its next command, so that the verb needs none at its end.

    Args:
        session: Call of the verb.
        found: List of the manifests.
        most: Number of findings of a stage to print; None for all.
    """
    from beatsight_core.status.stage import StatusList

    session.ends_with_next = False
    session.show_as(StatusList, found.to_json(), lambda safe: _show(session, safe, most))


def _show(session: Session, found: "StatusList", most: int | None) -> None:
    for each in found.manifests:
        _show_manifest(session, each, most)
    for file in found.refused:
        click.echo()
        text.headline(f"{file.file}: not taken up")
        text.paragraph(file.why, indent=2)
    if found.earlier:
        click.echo()
        text.paragraph(f"Earlier states, which `beatsight status NAME` shows: {', '.join(found.earlier)}")
    if found.next is not None:
        text.headline(f"There is no manifest in {found.data_root} yet")
        text.paragraph(
            f"Put one, JSON lines, into {found.inbox}. docs/write-a-manifest.md says how to write one, and "
            "docs/first-small-corpus.md how to begin with little. `beatsight demo` makes a corpus to try things on."
        )
        click.echo(next_line(session, found.next))


def _show_manifest(session: Session, status: "ManifestStatus", most: int | None) -> None:
    click.echo()
    text.headline(f"{status.name}: {'you are at ' + status.here if status.here else 'all is done'}")
    begun = [stage for stage in status.stages if stage.says]
    later = [stage.name for stage in status.stages if not stage.says]
    width = max(len(stage.name) for stage in status.stages)
    for stage in begun:
        text.paragraph(stage.says, indent=width + 6, begin=_beginning(stage.state, stage.name, width))
        _show_findings(status, stage, width + 6, most)
    if later:
        text.paragraph(", ".join(later), indent=width + 6, begin=_beginning("not yet", "then", width))
    if status.first:
        text.paragraph(f"{status.first}.", indent=7, begin="First:")
    click.echo(next_line(session, status.next))


def _beginning(state: str, name: str, width: int) -> str:
    mark, colour = _MARKS[state]
    return f"  {click.style(mark, fg=colour)} {name:<{width}}"


def _show_findings(status: "ManifestStatus", stage: "Stage", indent: int, most: int | None) -> None:
    """Print what there is to know of a stage that failed or is out of date, and the reports that say it."""
    for finding in stage.findings[:most]:
        text.paragraph(finding, indent=indent + 2, begin=f"{'':{indent}}-")
    if more := len(stage.findings[len(stage.findings) if most is None else most :]):
        text.paragraph(f"and {more} more: see `beatsight status {status.name}`", indent=indent + 2)
    if stage.state in ("failed", "out of date"):
        for report in stage.reports:
            click.echo(f"{'':{indent}}{report}")

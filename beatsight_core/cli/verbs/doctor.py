"""The verb doctor."""

from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.manifest_argument import manifest_argument
from beatsight_core.cli.verb import Session, verb


@manifest_argument(required=False)
@verb
def doctor(session: Session, manifest: str | None) -> int:
    """Look at layout, space, devices, sources and packages; exit 1 if something needed is missing."""
    from beatsight_core.doctor import examine

    result = examine(session.settings, manifest).to_json()
    session.show(result, _show)
    return 0 if result["healthy"] else 1


def _show(result: dict[str, Any]) -> None:
    text.headline("Settings")
    text.figures(result["settings"])
    text.headline("Environment")
    text.figures(result["environment"])
    text.headline("Layout")
    text.figures(result["layout"])
    rows = [{"source_set": name, **root} for name, roots in result["sources"].items() for root in roots]
    text.table(rows, ["source_set", "root", "mounted"], "Sources")
    text.headline("Space")
    space = result["space"]
    text.figures({"free": text.size(space["free_bytes"]), "estimated need": text.size(space["estimated_need_bytes"])})
    text.figures({name: text.size(need) for name, need in space["manifests"].items()})
    text.headline("Devices")
    versions = {name: version or "none" for name, version in result["devices"]["versions"].items()}
    text.figures({"cpu": result["devices"]["cpus"], **versions})
    text.table(result["devices"]["gpus"], ["index", "name", "compute_capability", "memory_total", "memory_used"])
    if not result["devices"]["gpus"]:
        click.echo("  no GPU: training runs on the CPU")
    text.headline("Tracking")
    text.figures(result["tracking"])
    if result["alerts"]:
        text.headline("Receivers of alerts")
        text.figures(result["alerts"])
    if result["external files"]:
        text.headline("External files that follow the champion")
        text.figures(result["external files"])
    text.headline("Packages")
    text.figures(result["packages"])
    click.echo()
    for finding in result["findings"]:
        color = "red" if finding["level"] == "error" else "yellow"
        click.echo(f"{click.style(finding['level'], fg=color, bold=True)}: {finding['what']}. {finding['do']}.")
    if not result["findings"]:
        click.secho("Everything needed is here.", fg="green", bold=True)

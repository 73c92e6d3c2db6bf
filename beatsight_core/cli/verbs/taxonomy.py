"""The verb taxonomy: which labels a manifest may use."""

from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.verb import Session, verb


@verb
def taxonomy(session: Session) -> int:
    """List the component labels of both taxonomies, in class order, with groups, aliases and General MIDI notes."""
    from beatsight_core.taxonomy import TAXONOMIES

    session.show({"taxonomies": [known.to_json() for known in TAXONOMIES.values()]}, _show)
    return 0


def _show(result: dict[str, Any]) -> None:
    for known in result["taxonomies"]:
        title = f"Taxonomy {known['name']}, version {known['version']}: {len(known['components'])} components"
        rows = [
            {**row, "groups": ", ".join(row["groups"]), "aliases": ", ".join(row["aliases"])}
            for row in known["components"]
        ]
        text.table(rows, ["class", "label", "groups", "note", "aliases"], title)
    click.echo('`taxonomy = "core"` or `"extended"` in beatsight.toml chooses; without it, core holds.')

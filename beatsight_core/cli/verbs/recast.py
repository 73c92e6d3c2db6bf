"""The verb recast: training sessions played again on other kits."""

from typing import TYPE_CHECKING

import click

from beatsight_core.cli import text
from beatsight_core.cli.manifest_argument import manifest_argument
from beatsight_core.cli.verb import Session, verb
from beatsight_core.safe_text import for_shell

if TYPE_CHECKING:
    from beatsight_core.recast.recast import Recast


@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="How often each is played.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Another seed, other kits.")
@click.option("--source-set", default="recast", show_default=True, help="What the new sessions are filed under.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: one per core.")
@manifest_argument()
@verb
def recast(session: Session, manifest: str, *, rounds: int, seed: int, source_set: str, workers: int | None) -> int:
    """Play the training sessions of MANIFEST again, each on a kit drawn at random; write audio and a manifest.

    Sessions that validate or calibrate are not touched, and all new ones train. Merge both manifests to train on them.
    """
    from beatsight_core.recast.recast import Recast, recast_manifest

    result = recast_manifest(
        session.settings, manifest, rounds=rounds, seed=seed, source_set=source_set, workers=workers,
        progress=session.progress,
    )  # fmt: skip
    session.show_as(Recast, result.to_json(), _show_recast)
    both = f"{for_shell(result.source)} {for_shell(result.manifest)}"
    session.next = f"beatsight manifest merge {both} -o MERGED.jsonl"
    return 0


def _show_recast(result: "Recast") -> None:
    text.headline(f"{result.events:,} events in {result.sessions:,} sessions, each on a kit of its own")
    text.figures(
        {
            "manifest": result.manifest,
            "audio": result.folder,
            "of": f"{result.played_sessions:,} training sessions of {result.source}, {result.rounds} times",
            "files kept": result.files_kept,
            "minutes": result.seconds / 60.0,
            "size": text.size(result.bytes),
            "events by component": result.events_by_component,
            "strokes left out, as kits lack them": result.left_out,
        }
    )

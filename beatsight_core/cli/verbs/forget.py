"""Verbs of manifests that the sensor on the inbox obeys: retry, forget."""

import sys
from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.manifest_argument import manifest_argument
from beatsight_core.cli.renamed import renamed_option
from beatsight_core.cli.verb import Session, verb

_PARTITION = {True: "yes", False: "there is none", None: "Dagster was never used here"}


@manifest_argument()
@verb
def retry(session: Session, manifest: str) -> int:
    """Have MANIFEST, of the inbox, prepared once more: after a failure whose reason is gone, or although forgotten.

    The sensor manifest_inbox takes it up at its next look, which is within seconds while `beatsight dev` runs.
    """
    from beatsight_core.errors import UsageError
    from beatsight_core.manifest.identity import manifest_key, resolve_manifest
    from beatsight_core.manifest.inbox.entries import inbox_file
    from beatsight_core.manifest.inbox.wishes import wish_retry
    from beatsight_core.safe_text import for_shell

    path = resolve_manifest(session.settings, manifest)
    key = manifest_key(path)
    file = inbox_file(session.settings, key)
    if file is None:
        raise UsageError(
            "Only a manifest of the inbox can be taken up by the sensor",
            where=path,
            do=f"move it to {session.settings.manifests_dir}, or run `beatsight run {for_shell(key)}`",
        )
    wish = wish_retry(session.settings, key)
    session.show({"key": wish.key, "manifest": str(file), "retries": wish.retries}, _show_retry)
    return 0


@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@renamed_option(
    "--override-use", "--despite-use", help="Why it is forgotten although a run or a model version names it; kept."
)
@click.option("--file", "with_file", is_flag=True, help="Remove its file from the inbox, too.")
@manifest_argument()
@verb
def forget(
    session: Session, *, manifest: str, with_file: bool, override_use: str | None, yes: bool, dry_run: bool
) -> int:
    """Forget MANIFEST: its catalog, indexes, page and partition. `beatsight dataset prune` then frees its shards.

    MANIFEST is a key, a beginning of one that fits no other, or a manifest. Its file in the inbox stays, and is not
    taken up again until it changes or `beatsight manifest retry` asks for it.
    """
    from beatsight_core.cli.partition import Partitions
    from beatsight_core.storage.forget import find_key, forget_manifest, require_unused

    settings = session.settings
    partitions = Partitions(settings, manifest)
    key = find_key(settings, manifest, partitions.registered)
    plan = forget_manifest(settings, key, with_file=with_file)
    shown = plan.to_json() | partitions.to_json()
    if dry_run or not (yes or _at_terminal(session)):
        session.show(shown, _show_forgotten)
        return 0
    partitions.require_at_rest(key)
    require_unused(plan, override_use)
    if not yes:
        session.show(shown, _show_forgotten)
        if not click.confirm("Forget it?", default=False):
            return 0
    result = forget_manifest(settings, key, with_file=with_file, override=override_use, really=True)
    partitions.remove(key)
    session.show(result.to_json() | partitions.to_json(), _show_forgotten)
    return 0


def _at_terminal(session: Session) -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not session.as_json


def _show_retry(result: dict[str, Any]) -> None:
    text.headline(f"{result['key']} is asked for once more")
    click.echo("The sensor manifest_inbox takes it up at its next look, while `beatsight dev` runs.")


def _show_forgotten(result: dict[str, Any]) -> None:
    done = result["done"]
    text.headline(f"{result['key']} {'is forgotten' if done else 'would be forgotten'}")
    for path in result["paths"]:
        click.echo(f"  {path}")
    named = [*(f"run {run}" for run in result["runs"]), *(f"version {number}" for number in result["versions"])]
    text.figures(
        {
            "partition": _PARTITION[result["partition"]],
            "source sets that only it had": result["source_sets"],
            "named by": named,
            "archived runs, which need nothing of it": result["archives"],
            "stays in the inbox": None if result["file"] in result["paths"] else result["file"],
        }
    )
    if not done:
        more = ' --override-use "reason", as it is named by these' if named else ""
        click.echo(f"Nothing was removed yet. --yes does it without asking{', with' + more if more else ''}.")
    click.echo(f"`beatsight dataset prune` {'' if done else 'then '}frees {text.size(result['frees'])}.")

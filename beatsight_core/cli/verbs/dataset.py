"""Verbs of datasets: ls, show, du, prune, rm."""

from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.verb import Session, verb

_LISTED = 20
"""Shards and files named on a terminal."""

_really = click.option("--yes", "really", is_flag=True, help="Do it; without, only say what would be done.")


@click.group()
def dataset() -> None:
    """Look at what was exported, and clear what is not wanted any more.

    DATASET is a manifest key, a beginning of one that fits no other, or the manifest.
    """


@verb
def ls(session: Session) -> int:
    """List all datasets: what they hold, when they were made, which runs learned from them."""
    from beatsight_core.storage.listing import list_datasets

    session.show(list_datasets(session.settings).to_json(), _show_list)
    return 0


@click.option("--html", is_flag=True, help="Write a page with some clips to hear and see, and name it.")
@click.option("--shards", "all_shards", is_flag=True, help="Name every shard.")
@click.argument("dataset")
@verb
def show(session: Session, dataset: str, html: bool, all_shards: bool) -> int:
    """Show one DATASET: splits, labels, hits without a clip, shards and who shares them."""
    from beatsight_core.dataset.page.dataset_page import write_dataset_page
    from beatsight_core.storage.detail import describe_dataset

    described = describe_dataset(session.settings, dataset)
    if html:
        described["page"] = str(write_dataset_page(session.settings, str(described["key"])))
    session.show(described, lambda result: _show_one(result, None if all_shards else _LISTED))
    return 0


@verb
def du(session: Session) -> int:
    """Say how many bytes each dataset takes: in all, shared with others, its own alone; and what no dataset holds."""
    from beatsight_core.storage.listing import disk_use

    session.show(disk_use(session.settings).to_json(), _show_use)
    return 0


@_really
@click.option("--specs", is_flag=True, help="Also features under specs that neither the settings nor a run ask for.")
@verb
def prune(session: Session, specs: bool, really: bool) -> int:
    """Remove shards that no dataset names, their features, and what killed writers left."""
    from beatsight_core.storage.prune import prune as carry_out

    result = carry_out(session.settings, specs=specs, really=really, progress=session.progress)
    session.show(result.to_json(), _show_prune)
    return 0


@_really
@click.option("--used", is_flag=True, help="Even if a run learned from it.")
@click.argument("dataset")
@verb
def rm(session: Session, dataset: str, used: bool, really: bool) -> int:
    """Take a DATASET off the shelf: its indexes and its page. `prune` then frees what nothing else names."""
    from beatsight_core.storage.removal import remove_dataset

    session.show(remove_dataset(session.settings, dataset, used=used, really=really).to_json(), _show_removal)
    return 0


for command in (ls, show, du, prune, rm):
    dataset.add_command(command)


def _show_list(result: dict[str, Any]) -> None:
    totals = result["totals"]
    text.headline(f"Datasets in {result['dataset_dir']}: {totals['datasets']:,}")
    rows = [
        {
            "dataset": row["key"],
            "source_sets": row["source_sets"],
            "clips": row["clips"],
            "shards": row["shards"],
            "size": text.size(row["bytes"]),
            "digest": row["digest"][:12],
            "state": row["state"],
            "features": _share(row["features"]),
            "made": row["made"][:16].replace("T", " "),
            "runs": len(row["used_by"]),
        }
        for row in result["datasets"]
    ]
    text.table(rows, list(rows[0]) if rows else [])
    if rows:
        click.echo(f"{totals['shards']:,} different shards, {text.size(totals['bytes'])}")


def _show_one(result: dict[str, Any], listed: int | None) -> None:
    totals = result["totals"]
    text.headline(f"{result['key']}: {totals['clips']:,} clips of {totals['hits']:,} hits, {result['state']}")
    text.figures(
        {
            "digest": result["digest"],
            "made": result["made"],
            "shards": f"{totals['shards']:,}, {text.size(totals['bytes'])}",
            "features": _share(result["features"]),
            "not exported": result["rejected"],
            "damaged": result["damaged"],
            "page": result.get("page"),
        }
    )
    sources = [{**row, "size": text.size(row["bytes"])} for row in result["sources"]]
    text.table(sources, ["source_set", "hits", "clips", "files", "shards", "size", "rejected"], "Source sets")
    text.table(result["splits"], ["split", "clips", "seconds"], "Splits")
    held = [row for row in result["labels"] if row["clips"]]
    text.table(held, ["label", "clips", "solo", "train", "val", "calibration"], "Labels")
    text.table(result["learners"], ["run", "status"], "Runs that learned from it")
    shards = [{**row, "shard": row["shard"][:12], "size": text.size(row["bytes"])} for row in result["shards"]]
    columns = ["shard", "source_set", "rows", "files", "size", "there", "features", "shared_with"]
    text.table(shards[:listed], columns, "Shards")
    if listed is not None and len(shards) > listed:
        click.echo(f"and {len(shards) - listed:,} more: see --shards, or --json")
    lost = result["rejected_files"]
    text.table(lost[:_LISTED], ["hits", "reason", "source_set", "audio_path", "message"], "Files that lost hits")
    if len(lost) > _LISTED:
        click.echo(f"and {len(lost) - _LISTED:,} more: see --json")


def _show_use(result: dict[str, Any]) -> None:
    totals = result["totals"]
    shards, features = text.size(totals["shards"]["bytes"]), text.size(totals["features"]["bytes"])
    text.headline(f"{shards} of shards, {features} of features")
    figures = ("bytes", "shared", "own")
    rows = [
        {"dataset": row["key"], "of": kind, **{name: text.size(row[f"{prefix}{name}"]) for name in figures}}
        for row in result["datasets"]
        for kind, prefix in {"clips": "", "features": "features_"}.items()
    ]
    text.table(rows, ["dataset", "of", *figures])
    names = {
        "shards that no dataset names": "shards_unnamed",
        "features of such shards": "features_unnamed",
        "measured of such shards": "measured_unnamed",
        "features under other specs": "features_of_other_specs",
        "left by killed writers": "leftovers",
    }
    text.figures({title: _amount(totals[name]) for title, name in names.items()})
    text.figures({"free": text.size(totals["free_bytes"])})


def _show_prune(result: dict[str, Any]) -> None:
    amount = text.size(result["bytes"])
    text.headline(f"{amount} freed" if result["done"] else f"{amount} would be freed")
    titles = {
        "shards": "shards that no dataset names",
        "features": "features of such shards",
        "measured": "measured of such shards",
        "specs": "features under specs that nothing asks for",
        "leftovers": "left by killed writers",
    }
    kinds = result["kinds"]
    text.figures({title: _amount(kinds[kind]) for kind, title in titles.items() if kinds[kind]["files"]})
    if result["archived_shards"]:
        click.echo(f"{result['archived_shards']:,} of these shards are remembered by the archive of a run.")
    if not result["done"] and result["paths"]:
        click.echo("Nothing was removed. Add --yes to remove it; --json names every file.")


def _show_removal(result: dict[str, Any]) -> None:
    text.headline(f"{result['key']} {'is removed' if result['done'] else 'would be removed'}")
    text.figures({"files": "\n".ljust(13).join(result["paths"]), "learned by": result["used_by"]})
    if not result["done"]:
        click.echo("Nothing was removed. Add --yes to remove it.")
    then = "" if result["done"] else "Then "
    click.echo(f"{then}`beatsight dataset prune` frees {text.size(result['frees'])}.")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _amount(value: dict[str, int]) -> str:
    return f"{value['files']:,}, {text.size(value['bytes'])}"

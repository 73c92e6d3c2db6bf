"""What is called like a leftover is none: nothing of it is deleted, pruned or hidden, whatever else is done."""

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.dataset.export import export_dataset
from beatsight_core.dataset.index import index_paths, read_index
from beatsight_core.dataset.reader import open_dataset
from beatsight_core.dataset.verify_export import check_dataset
from beatsight_core.health.report import run_health
from beatsight_core.leftovers import FOREIGN_SECONDS, looks_temporary
from beatsight_core.manifest.read_manifest import build_catalog, open_catalog
from beatsight_core.promotion.archive.check_archive import check_archives
from beatsight_core.storage.listing import list_datasets
from beatsight_core.storage.prune import prune
from beatsight_core.storage.usage import archived_shards

NAMES = (
    "events.tmp-run-20251109", "events.tmp-7", "drums.tmp-00000000-1-00000000", "events.tmp-01234567-123",
    "a.tmp-x.tmp-1-2-3",
)  # fmt: skip
"""The fourth makes a key that has, as a whole, the form of what earlier versions left."""


def age(*folders: Path) -> None:
    """Make everything so old that it would be taken for what a stranger left."""
    long_ago = time.time() - 2 * FOREIGN_SECONDS
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (long_ago, long_ago), follow_symlinks=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_called_like_a_leftover_loses_nothing(place, name):
    exported = place.export(name, range(4))
    run_health(place.settings, exported.key)
    kept = [
        place.settings.catalog_folder(exported.key),
        *exported.index_paths,
        place.settings.health_dir / exported.key,
    ]
    if name == "events.tmp-01234567-123":
        assert looks_temporary(exported.key)
        kept[-1] = next(place.settings.health_dir.glob("events*"))
    assert all(path.exists() for path in kept)
    age(place.root)
    other = place.export("other", range(4, 8))
    run_health(place.settings, other.key)
    prune(place.settings, specs=True, really=True)
    assert all(path.exists() for path in kept)
    assert open_catalog(place.settings, exported.key) == build_catalog(place.settings, exported.key)
    assert check_dataset(place.settings, exported.key).passed
    assert {row.key for row in list_datasets(place.settings).datasets} == {exported.key, other.key}


@pytest.mark.parametrize("dot", ["", "."])
def test_a_catalog_that_was_never_done_goes_and_is_listed_nowhere(place, dot):
    made = build_catalog(place.settings, place.manifest("events", range(3)))
    left = made.folder.with_name(f"{dot}{made.key}.tmp-00000000-1-00000000")
    left.mkdir()
    for path in made.folder.iterdir():
        (left / path.name).write_bytes(path.read_bytes())
    age(left)
    build_catalog(place.settings, place.manifest("other", range(2)))
    assert not left.exists()
    assert open_catalog(place.settings, made.key) == made


def test_source_sets_called_like_anything_have_an_index_each(place):
    names = [
        ".",
        "..",
        "Kit",
        "kit",
        "KIT",
        "kit.tmp-00000000-1-00000000",
        "con",
        "v1.",
        "x" * 300,
        "%",
        "a/b",
        "é" * 70,
    ]
    lines = []
    for number, name in enumerate(names):
        lines += place.manifest("part", [number], source_set=name).read_text().splitlines()
    for number in range(12):
        (place.root / "raw" / place.audio(number).name).write_bytes(place.audio(number).read_bytes())
    manifest = place.settings.manifests_dir / "all.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    exported = export_dataset(place.settings, manifest)
    paths = index_paths(place.settings, exported.key)
    assert sorted(read_index(path).source_set for path in paths) == sorted(names)
    assert len({path.name.casefold() for path in paths}) == len(names)
    age(place.root)
    prune(place.settings, really=True)
    assert len(open_dataset(place.settings, exported.key)) == 3 * len(names)
    assert all(open_dataset(place.settings, exported.key, [name]).source_sets == (name,) for name in names)
    assert export_dataset(place.settings, manifest).shards_written == 0
    for path in paths:
        path.write_text("{}")
    healed = check_dataset(place.settings, exported.key, heal=True)
    assert not healed.passed or healed.healed
    assert sorted(read_index(path).source_set for path in index_paths(place.settings, exported.key)) == sorted(names)


def test_what_other_systems_put_beside_every_file_is_no_index(place):
    """`._kits.json` of a Mac on a drive that keeps no attributes."""
    exported = place.export("first", range(4))
    (exported.index_paths[0].parent / "._kits.json").write_bytes(b"\0\5\x16\7")
    assert len(open_dataset(place.settings, exported.key)) == 12
    prune(place.settings, really=True)  # which a damaged index would forbid
    assert list_datasets(place.settings).datasets[0].state == "ready"


def archive(place, name: str, run_id: str) -> Path:
    folder = place.settings.archive_dir / "20260101" / name
    (folder / "dataset").mkdir(parents=True)
    (folder / "archive.json").write_text(json.dumps({"run_id": run_id}))
    age(place.root)
    return folder


def test_archives_called_like_a_leftover_are_listed_and_leftovers_are_not(place):
    run_id = "warmup-events.tmp-01234567-12345678-deadbeef"
    assert looks_temporary(run_id)
    kept = [archive(place, run_id, run_id), archive(place, f"{run_id}-2", run_id)]
    left = [archive(place, f"{dot}warmup-a-1.tmp-00000000-1-00000000", "warmup-a-1") for dot in ("", ".")]
    assert [check.folder for check in check_archives(place.settings)] == kept
    assert all(folder.exists() for folder in left)  # listing deletes nothing
    assert archived_shards(place.settings) == {}


def test_a_hidden_manifest_has_a_catalog_that_is_not_hidden(place):
    hidden = place.manifest("events", range(3)).rename(place.root / ".events.jsonl")
    made = build_catalog(place.settings, hidden)
    assert made.folder.name.startswith("%2Eevents-")
    assert open_catalog(place.settings, made.key) == made


def test_a_verb_that_names_a_folder_of_the_platform_names_no_dataset(place):
    place.export("first", range(3))
    for name in ("shards", ".", "..", "../datasets"):
        said = CliRunner().invoke(beatsight, ["dataset", "show", name, "--data-root", str(place.root)])
        assert (said.exit_code, "There is no manifest" in said.stderr) == (3, True), said.output

"""Pruning frees what no index names, and nothing else; it never takes a shard from an export under way."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beatsight_core.cli.main import beatsight
from beatsight_core.dataset.export import export_dataset
from beatsight_core.dataset.in_use import shards_at_rest, shards_in_use
from beatsight_core.dataset.verify_export import check_dataset
from beatsight_core.errors import DatasetError, StorageError, UsageError
from beatsight_core.health.report import run_health
from beatsight_core.leftovers import temporary_path
from beatsight_core.storage.listing import disk_use
from beatsight_core.storage.prune import prune
from beatsight_core.storage.removal import remove_dataset
from beatsight_core.storage.survey import survey


def kinds(result):
    return {name: figures["files"] for name, figures in result.to_json()["kinds"].items() if figures["files"]}


def files_below(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_looking_removes_nothing_and_says_what_would_be_freed(place, named):
    first, second = place.export("first", range(12)), place.export("second", range(11))
    place.warm(first)
    remove_dataset(place.settings, first.key, really=True)
    alone = named(first) - named(second)
    before = files_below(place.root)
    looked = prune(place.settings)
    assert (looked.done, kinds(looked)) == (False, {"shards": len(alone), "features": len(alone)})
    assert files_below(place.root) == before
    removed = prune(place.settings, really=True)
    assert removed.bytes == looked.bytes
    assert before - files_below(place.root) == {item.path for item in looked.items}
    assert place.shards() == named(second)
    assert kinds(prune(place.settings)) == {}


def test_what_health_measured_of_a_shard_goes_with_it(place, named):
    first, second = place.export("first", range(12)), place.export("second", range(11))
    for exported in (first, second):
        run_health(place.settings, exported.key)
    kept = place.settings.catalog_dir / "sounds"
    dead = temporary_path(next(kept.iterdir()) / "x.parquet")
    dead = dead.with_name(dead.name.replace(f"-{os.getpid()}-", "-999999999-"))
    dead.touch()
    stranger = next(kept.iterdir()) / "notes.parquet"
    stranger.touch()
    ours, theirs = (named(one) | {index.digest for index in one.indexes} for one in (first, second))
    measured = [path.name[:40] for path in kept.glob("*/*-*-*.parquet")]
    assert set(measured) == ours | theirs
    remove_dataset(place.settings, first.key, really=True)
    alone = named(first) - named(second)
    going = sum(digest in ours - theirs for digest in measured)
    assert disk_use(place.settings).to_json()["totals"]["measured_unnamed"]["files"] == going
    looked = prune(place.settings, really=True)
    assert kinds(looked) == {"shards": len(alone), "measured": going, "leftovers": 1}
    assert {path.name[:40] for path in kept.glob("*/*-*-*.parquet")} == theirs
    assert (stranger.exists(), dead.exists()) == (True, False)


def test_what_a_changed_setting_left_behind_goes_and_coming_back_makes_it_again(place, named):
    first = place.export("first", range(12))
    other = place.export("first", range(12), settings=place.with_tail(100.0))
    assert kinds(prune(place.settings, really=True)) == {"shards": len(named(first))}
    assert place.shards() == named(other)
    back = place.export("first", range(12))
    assert back.to_json()["dataset_digest"] == first.to_json()["dataset_digest"]
    assert back.shards_written == len(named(first))


def test_features_of_named_shards_stay_unless_their_spec_is_given_up(place):
    exported = place.export("first", range(12))
    forgotten, current = place.warm(exported, "b" * 40), place.warm(exported, place.spec.digest)
    learned = place.warm(exported, dataclasses.replace(place.spec, n_mels=64).digest)
    place.learn(exported, n_mels=64)
    assert kinds(prune(place.settings)) == {}
    assert kinds(prune(place.settings, specs=True, really=True)) == {"specs": len(forgotten)}
    assert not any(path.exists() for path in forgotten)
    assert all(path.exists() for path in (*current, *learned))


def test_files_that_are_no_shards_or_features_are_left_alone(place, named):
    exported = place.export("first", range(12))
    (spec_file,) = {path.parent / "spec.json" for path in place.warm(exported)}
    strangers = [
        spec_file, place.settings.cache_dir / "notes.txt", place.settings.shards_dir / "readme.txt",
        place.settings.shards_dir / "ab" / "notes.parquet", place.settings.dataset_dir / "mine" / "data.csv",
        place.settings.shards_dir / "ab" / f"{'c' * 40}.parquet",  # not where a shard of that name lies
    ]  # fmt: skip
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    remove_dataset(place.settings, exported.key, really=True)
    prune(place.settings, specs=True, really=True)
    assert place.shards().isdisjoint(named(exported))
    assert all(path.read_text() == "mine" for path in strangers)


def test_what_killed_writers_left_goes_and_what_living_ones_write_stays(place):
    exported = place.export("first", range(12))
    shard = next(place.settings.shards_dir.rglob("*.parquet"))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = temporary_path(shard)
    left = left.with_name(left.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-"))
    left.write_bytes(b"half")
    living = temporary_path(exported.index_paths[0])
    living.write_bytes(b"half")
    assert kinds(prune(place.settings)) == {"leftovers": 1}
    prune(place.settings, really=True)
    assert not left.exists()
    assert living.exists()


def test_a_damaged_index_forbids_to_prune(place):
    exported = place.export("first", range(12))
    index = exported.index_paths[0]
    index.write_text(index.read_text()[:-20])
    with pytest.raises(DatasetError, match="nobody knows which shards it names"):
        prune(place.settings, really=True)
    assert place.shards()


def test_without_the_folder_nothing_is_taken_for_unnamed(place):
    place.warm(place.export("first", range(12)))
    away = place.settings.dataset_dir.rename(place.root / "unplugged")
    with pytest.raises(DatasetError, match="no folder of datasets"):
        prune(place.settings, really=True)
    assert list(place.settings.cache_dir.rglob("*.safetensors"))
    away.rename(place.settings.dataset_dir)
    assert kinds(prune(place.settings)) == {}


def test_an_archive_remembers_shards_and_does_not_hold_them(place, named):
    exported = place.export("first", range(12))
    folder = place.settings.archive_dir / "20260101" / "a-run" / "dataset"
    folder.mkdir(parents=True)
    (folder / "kits.json").write_bytes(exported.index_paths[0].read_bytes())
    remove_dataset(place.settings, exported.key, really=True)
    assert prune(place.settings).archived == len(named(exported))
    prune(place.settings, really=True)
    assert place.shards() == set()


def test_a_dataset_that_a_run_learned_from_is_not_removed_by_accident(place):
    exported = place.export("first", range(12))
    place.learn(exported)
    assert remove_dataset(place.settings, exported.key).used_by == ("warmup-run",)
    with pytest.raises(UsageError, match="Runs learned from first-"):
        remove_dataset(place.settings, exported.key, really=True)
    assert exported.index_paths[0].exists()
    remove_dataset(place.settings, exported.key, used=True, really=True)
    assert survey(place.settings).datasets == ()
    assert place.shards()  # these are pruning's


def test_pruning_needs_to_be_alone_and_exports_do_not(place):
    place.export("first", range(12))
    with shards_in_use(place.settings), shards_in_use(place.settings):
        for refused in (lambda: prune(place.settings), lambda: remove_dataset(place.settings, "first", really=True)):
            with pytest.raises(UsageError, match="at work on the shards"):
                refused()
    order: list[str] = []

    def export() -> None:
        with shards_in_use(place.settings):
            order.append("export")

    waiting = threading.Thread(target=export)
    with shards_at_rest(place.settings):
        waiting.start()
        order.append("prune")
    waiting.join()
    assert order == ["prune", "export"]


def test_what_cannot_be_written_can_be_read_and_not_pruned(place):
    sealed = dataclasses.replace(place.settings, dataset_dir=Path("/sys"))  # nobody makes files there, root neither
    with shards_in_use(sealed):
        pass
    assert kinds(prune(sealed)) == {}
    with pytest.raises(StorageError):
        prune(sealed, really=True)


EXPORT = """
import sys
from beatsight_core.dataset import export
from beatsight_core.settings import load_settings

commit = export.commit_index
def wait_and_commit(settings, index):
    print(len(index.shards), flush=True)  # it counts on these, and nothing names them yet
    sys.stdin.readline()
    return commit(settings, index)

export.commit_index = wait_and_commit
export.export_dataset(load_settings(sys.argv[1], environment={}), sys.argv[2])
"""


@pytest.fixture
def start_export(place, tmp_path):
    """Start an export in a process of its own that stops between finding or making shards and naming them."""
    script = tmp_path / "export.py"
    script.write_text(EXPORT)
    started = []

    def start(manifest: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(script), str(place.root), str(manifest)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_an_export_under_way_never_loses_a_shard_that_it_counts_on(place, named, start_export):
    orphaned = place.export("first", range(12))
    remove_dataset(place.settings, orphaned.key, really=True)
    process = start_export(place.manifest("first", range(12)))
    assert int(process.stdout.readline()) == len(named(orphaned))
    said = CliRunner().invoke(beatsight, ["dataset", "prune", "--yes", "--json", "--data-root", str(place.root)])
    assert (said.exit_code, json.loads(said.stdout)["error"]["kind"]) == (2, "UsageError")
    _, errors = process.communicate("\n", timeout=60)
    assert process.returncode == 0, errors
    assert kinds(prune(place.settings, really=True)) == {}
    assert check_dataset(place.settings, orphaned.key).passed


def test_the_lock_of_a_killed_export_is_free(place, named, start_export):
    orphaned = place.export("first", range(12))
    remove_dataset(place.settings, orphaned.key, really=True)
    process = start_export(place.manifest("first", range(12)))
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kinds(prune(place.settings, really=True)) == {"shards": len(named(orphaned))}


WRITER = """
import sys
from beatsight_core.dataset.export import export_dataset
from beatsight_core.settings import load_settings

for manifest in sys.argv[2:] * 3:
    export_dataset(load_settings(sys.argv[1], environment={}), manifest)
"""


@pytest.mark.long
def test_exports_and_prunings_at_once_end_with_whole_datasets(place):
    """Writers come and go in processes of their own while this one prunes as often as it is let."""
    place.export("d", range(8, 12))
    manifests = [str(place.manifest(name, range(start, start + 8))) for name, start in (("a", 0), ("b", 2), ("c", 4))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(place.root), *order], env=environment)
        for order in (manifests, manifests[::-1])
    ]
    try:
        while any(writer.poll() is None for writer in writers):
            with contextlib.suppress(UsageError):
                prune(place.settings, really=True)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert [writer.returncode for writer in writers] == [0, 0]
    prune(place.settings, really=True)
    datasets = survey(place.settings).datasets
    assert len(datasets) == 4
    assert all(check_dataset(place.settings, dataset.key).passed for dataset in datasets)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("export"), st.integers(0, 3), st.integers(0, 6)),
        st.tuples(st.just("retail"), st.integers(0, 3), st.sampled_from([100.0, 150.0])),
        st.tuples(st.just("remove"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("prune"), st.just(0), st.just(0)),
    ),
    min_size=2,
    max_size=6,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_was_done_pruning_keeps_all_that_is_named_and_nothing_else(tmp_path_factory, beside_place, steps):
    place = beside_place(tmp_path_factory.mktemp("property") / "data")
    for verb, number, value in steps:
        if verb == "export":
            place.warm(place.export(f"m{number}", range(value, value + 4)))
        elif verb == "retail":
            export_dataset(place.with_tail(value), place.manifest(f"m{number}", range(3)))
        elif verb == "remove" and survey(place.settings).datasets:
            remove_dataset(place.settings, survey(place.settings).datasets[-1].key, really=True)
        elif verb == "prune" and place.settings.dataset_dir.is_dir():
            prune(place.settings, really=True)
    if not place.settings.dataset_dir.is_dir():
        return
    before = {dataset.key: dataset.digest for dataset in survey(place.settings).datasets}
    prune(place.settings, really=True)
    stored = survey(place.settings)
    assert {dataset.key: dataset.digest for dataset in stored.datasets} == before
    assert set(stored.shards) == set(stored.users)
    assert {file.shard for file in stored.features} <= set(stored.users)
    assert all(check_dataset(place.settings, dataset.key).passed for dataset in stored.datasets)

"""ls, du and show: figures that agree with each other, with the indexes, and with the folders."""

import json

import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.errors import DatasetError, ManifestError
from beatsight_core.storage.detail import describe_dataset
from beatsight_core.storage.listing import disk_use, list_datasets


def call(place, *words):
    return CliRunner().invoke(beatsight, ["dataset", *map(str, words), "--data-root", str(place.root)])


def test_an_empty_shelf_is_no_error(place):
    assert list_datasets(place.settings).to_json()["datasets"] == []
    assert disk_use(place.settings).to_json()["totals"]["shards"] == {"files": 0, "bytes": 0}
    for verb in ("ls", "du"):
        assert call(place, verb).exit_code == 0


def test_each_dataset_has_its_row(place, named):
    first = place.export("first", range(12))
    second = place.export("second", range(11))
    rows = {row["key"]: row for row in list_datasets(place.settings).to_json()["datasets"]}
    assert set(rows) == {first.key, second.key}
    row = rows[first.key]
    assert (row["clips"], row["hits"], row["shards"]) == (36, 36, len(named(first)))
    assert (row["digest"], row["state"], row["features"]) == (first.to_json()["dataset_digest"], "ready", 0.0)
    assert row["bytes"] == sum(index.bytes for index in first.indexes)


def test_bytes_are_counted_once_and_shared_ones_are_told(place, named):
    first, second = place.export("first", range(12)), place.export("second", range(11))
    shared = named(first) & named(second)
    assert shared
    assert named(first) - named(second)
    place.warm(first)
    use = disk_use(place.settings).to_json()
    for row, result in zip(use["datasets"], (first, second), strict=True):
        assert row["bytes"] == row["shared"] + row["own"] == sum(index.bytes for index in result.indexes)
    own = sum(row["own"] for row in use["datasets"])
    assert own + use["datasets"][0]["shared"] == use["totals"]["shards"]["bytes"]
    on_disk = sum(path.stat().st_size for path in place.settings.shards_dir.rglob("*.parquet"))
    assert use["totals"]["shards"] == {"files": len(named(first) | named(second)), "bytes": on_disk}
    assert use["datasets"][0]["features_bytes"] == 100 * len(named(first))
    assert use["datasets"][0]["features_shared"] == 100 * len(shared)
    assert use["totals"]["features_of_other_specs"]["files"] == len(named(first))
    assert use["totals"]["shards_unnamed"]["files"] == 0


def test_show_tells_splits_labels_and_who_shares_a_shard(place, named):
    first, second = place.export("first", range(12)), place.export("second", range(11))
    shown = describe_dataset(place.settings, first.key)
    assert sum(row["clips"] for row in shown["splits"]) == 36
    assert sum(row["clips"] for row in shown["labels"]) == 36  # one component a hit
    assert {row["label"] for row in shown["labels"] if row["clips"]} == {"kick", "snare", "hihat_closed", "crash"}
    assert all(row["train"] + row["val"] + row["calibration"] == row["clips"] for row in shown["labels"])
    sharing = {row["shard"]: row["shared_with"] for row in shown["shards"]}
    for digest in named(first):
        assert sharing[digest] == ([second.key] if digest in named(second) else [])
    assert all(row["there"] for row in shown["shards"])


def test_states_say_what_stands_in_the_way(place):
    exported = place.export("first", range(12))
    (row,) = list_datasets(place.with_tail(100.0)).datasets
    assert row.state == "other settings"
    next(place.settings.shards_dir.rglob("*.parquet")).unlink()
    (row,) = list_datasets(place.settings).datasets
    assert row.state == "1 shards missing"
    assert describe_dataset(place.settings, exported.key)["totals"]["clips"] == 36
    index = exported.index_paths[0]
    index.write_text(index.read_text().replace('"hits": 36', '"hits": 37'))
    (row,) = list_datasets(place.settings).datasets
    assert (row.state, row.clips, row.key) == ("damaged index", 0, exported.key)


def test_runs_and_archives_that_learned_from_a_dataset_are_named(place):
    exported = place.export("first", range(12))
    run = place.learn(exported)
    assert list_datasets(place.settings).datasets[0].used_by == ("warmup-run",)
    archived = place.settings.archive_dir / "20260101" / "warmup-run" / "run"
    archived.mkdir(parents=True)
    (run / "config.json").rename(archived / "config.json")
    assert describe_dataset(place.settings, exported.key)["learners"][0]["status"] == "archived"
    place.export("first", range(12), settings=place.with_tail(100.0))
    assert list_datasets(place.settings).datasets[0].used_by == ()  # what it learned from is not there any more


def test_a_dataset_is_found_by_key_by_its_beginning_and_by_its_manifest(place):
    first, second = place.export("alpha", range(12)), place.export("albert", range(11))
    for ref in (first.key, "alph", "alpha.jsonl", str(place.settings.manifests_dir / "alpha.jsonl")):
        assert describe_dataset(place.settings, ref)["key"] == first.key
    with pytest.raises(DatasetError, match="'al' fits 2 datasets"):
        describe_dataset(place.settings, "al")
    with pytest.raises(ManifestError, match="no manifest 'nothing'"):
        describe_dataset(place.settings, "nothing")
    unexported = place.manifest("third", range(3))
    with pytest.raises(DatasetError, match="There is no dataset of third-") as caught:
        describe_dataset(place.settings, str(unexported))
    assert second.key in str(caught.value)


@pytest.mark.parametrize("words", ["ls", "show first", "show first --shards", "du", "prune", "rm first"])
def test_every_verb_speaks_text_and_json(place, words):
    exported = place.export("first", range(12))
    place.learn(exported)
    said = call(place, *words.split())
    assert said.exit_code == 0, said.output
    assert said.stdout.strip()
    assert isinstance(json.loads(call(place, *words.split(), "--json").stdout), dict)


def test_show_names_the_page(place):
    place.export("first", range(12))
    said = json.loads(call(place, "show", "first", "--html", "--json").stdout)
    assert (place.root / "reports" / "datasets").iterdir()
    assert said["page"].endswith(".html")

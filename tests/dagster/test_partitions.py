"""Partition keys, and how partitions come to be."""

import os
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.manifest.read_manifest import build_catalog, manifest_key
from beatsight_core.settings import Settings
from beatsight_dagster import partitions
from beatsight_dagster.partitions import (
    MANIFEST_SOURCES,
    by_manifest,
    from_partition,
    pair_partition,
    register,
    source_range,
    to_partition,
)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_any_name_is_a_partition_and_comes_back(manifest: str, source_set: str) -> None:
    assert from_partition(to_partition(manifest)) == manifest
    assert by_manifest([pair_partition(manifest, source_set)]) == {manifest: [source_set]}
    assert not set("|[],\n\0") & set(to_partition(manifest))
    assert "..." not in to_partition(manifest)


def test_dagster_takes_names_with_characters_that_it_reserves(instance: dg.DagsterInstance) -> None:
    register(instance, ["50 %, [new]"], ["a|b", "c...d", "e\tf", "größe"])
    keys = [str(key) for key in MANIFEST_SOURCES.get_partition_keys(dynamic_partitions_store=instance)]
    assert by_manifest(keys) == {"50 %, [new]": ["a|b", "c...d", "e\tf", "größe"]}


def test_bytes_that_are_no_text_are_a_partition_and_come_back(instance: dg.DagsterInstance) -> None:
    names = [os.fsdecode(b"caf\xe9-1"), os.fsdecode(b"\xff%41|"), "half \ud800", "größe\u202e"]
    register(instance, names, names)
    keys = list(instance.get_dynamic_partitions("manifests"))
    assert all(key.isprintable() for key in keys)
    assert len(set(keys)) == len(names)
    assert [from_partition(key) for key in keys if "half" not in key] == [name for name in names if "half" not in name]


def test_plain_names_stay_as_they_are() -> None:
    assert pair_partition("prod_combined-1a2b3c4d", "slakh2100") == "prod_combined-1a2b3c4d|slakh2100"


def test_registering_again_adds_only_what_is_new(instance: dg.DagsterInstance) -> None:
    register(instance, ["a-1"], ["x", "y"])
    register(instance, ["a-1", "b-2"], ["y", "z"])
    assert instance.get_dynamic_partitions("manifests") == ["a-1", "b-2"]
    assert instance.get_dynamic_partitions("source_sets") == ["x", "y", "z"]


def test_the_range_of_a_manifest_spans_its_source_sets(instance: dg.DagsterInstance) -> None:
    register(instance, ["a-1", "b-2"], ["x", "y", "z"])
    assert source_range(instance, "b-2", ["z", "x"]) == ("b-2|x", "b-2|z")
    assert source_range(instance, "b-2", ["y"]) == ("b-2|y", "b-2|y")


def test_the_command_registers_manifests_with_the_source_sets_that_are_known(
    corpus: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The command sets these for the processes that it may start; they must not outlive this test.
    for name in ("DAGSTER_HOME", "BEATSIGHT_DATA_ROOT"):
        monkeypatch.setenv(name, "")
    manifest = corpus.manifests_dir / "demo.jsonl"
    build_catalog(corpus, manifest)
    arguments = ["--data-root", str(corpus.data_root)]
    assert partitions.main([*arguments, "add", "demo.jsonl"]) == 0
    shown = said = capsys.readouterr().out
    assert f"  {manifest_key(manifest)}\n" in said
    assert "  demo_stems\n" in said
    assert partitions.main([*arguments, "sync"]) == 0
    assert capsys.readouterr().out == said
    assert partitions.main([*arguments, "add", str(Path("nowhere.jsonl"))]) == 3
    assert "nowhere.jsonl" in capsys.readouterr().err

    with dg.DagsterInstance.from_config(str(corpus.dagster_home)) as instance:
        register(instance, ["typo-1", "50 %, [new]"], ["tyop"])
    for name, said in (("demo_stems", "is in use"), (manifest_key(manifest), "is in use"), ("typo-2", "no partition")):
        assert partitions.main([*arguments, "remove", "typo-1", name]) == 2
        assert said in capsys.readouterr().err
    assert partitions.main([*arguments, "remove", "typo-1", "tyop", "50 %, [new]"]) == 0
    assert capsys.readouterr().out == shown

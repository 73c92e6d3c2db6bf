"""Whatever goes wrong in an asset or a program of the Dagster side: a paragraph and, for programs, an exit code."""

import sqlite3

import dagster as dg
import polars
import pytest

from beatsight_core.errors import DeviceError
from beatsight_core.settings import load_settings
from beatsight_dagster import instance as home_instance
from beatsight_dagster import partitions
from beatsight_dagster.definitions import ASSETS
from beatsight_dagster.home_check import DATABASES, check_home
from beatsight_dagster.materialize import GraphRequest, materialize_graph
from beatsight_dagster.materialize import main as materialize
from beatsight_dagster.resources.settings import SettingsResource

ERRORS = {
    "a fault": (ValueError("invalid literal"), "The platform has a fault: ValueError: invalid literal"),
    "a device": (DeviceError("0 CUDA devices are visible", do="ask for cpu"), "What to do: ask for cpu."),
    "memory": (MemoryError(), "too little memory"),
    "a panic": (polars.exceptions.PanicException("no threads"), "The platform has a fault: PanicException: no threads"),
}


@pytest.mark.parametrize("kind", list(ERRORS))
@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.key.to_user_string())
def test_any_error_of_an_asset_is_a_failure_in_a_paragraph(asset, kind, monkeypatch):
    error, said = ERRORS[kind]

    def load(self):
        raise error

    monkeypatch.setattr(SettingsResource, "load", load)
    partition = "m-12345678"
    if isinstance(asset.partitions_def, dg.MultiPartitionsDefinition):
        partition = dg.MultiPartitionKey({"manifest": partition, "source_set": "kits"})
    config = {"ops": {"manifest": {"config": {"path": "x"}}}} if asset.op.name == "manifest" else {}
    with dg.DagsterInstance.ephemeral() as instance:
        partitions.register(instance, ["m-12345678"], ["kits"])
        result = dg.materialize(
            [asset], partition_key=partition, instance=instance, raise_on_error=False, run_config=config,
            resources={"settings": SettingsResource()},
        )  # fmt: skip
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.user_failure_data
    assert said in told.description
    assert "\n" not in told.description
    assert ("trace" in told.metadata) == (kind in ("a fault", "a panic"))


def test_a_misspelt_value_of_a_preset_stops_the_first_asset(data_root):
    (data_root / "beatsight.toml").write_text("[training.long_run]\nepoch = 3\n")
    with pytest.raises(Exception, match=r"did you mean training\.long_run\.epochs"):
        SettingsResource(data_root=str(data_root)).load()
    (data_root / "beatsight.toml").unlink()
    (data_root / "manifests").mkdir()
    (data_root / "manifests" / "m.jsonl").write_text("{}\n")
    request = GraphRequest("m.jsonl", presets=("long_run",), overrides={"epochs": "0"})
    with pytest.raises(Exception, match="epochs must be at least 1"):
        materialize_graph(load_settings(data_root), request)
    assert not (data_root / "dagster").exists()  # before anything was begun


@pytest.fixture
def home(data_root, monkeypatch):
    """Dagster's home of a data root, made by Dagster."""
    monkeypatch.setenv("BEATSIGHT_DATA_ROOT", str(data_root))
    monkeypatch.setenv("DAGSTER_HOME", "")
    return home_instance.prepare_home(load_settings(data_root))


@pytest.mark.parametrize("is_ready", [True, False])
@pytest.mark.parametrize(
    "damage", [*DATABASES, "dagster.yaml, no YAML", "dagster.yaml, no table", "dagster.yaml, bytes"]
)
def test_a_damaged_home_is_named_in_a_paragraph(home, data_root, damage, is_ready, capsys, monkeypatch):
    name, _, what = damage.partition(", ")
    text = {"no YAML": b"a: [", "no table": b"- 1\n", "bytes": b"\xff\xfe\x00"}.get(what, b"garbage" * 200)
    assert (home / name).exists()
    (home / name).write_bytes(text)
    if not is_ready:  # a command was killed while it made the home
        (home / ".ready").unlink()
    for main, words in ((materialize, ["x.jsonl"]), (partitions.main, ["list"]), (home_instance.main, [])):
        if main is materialize:
            (data_root / "manifests").mkdir(exist_ok=True)
            (data_root / "manifests" / "x.jsonl").write_text("{}\n")
        code = main(words)
        errors = capsys.readouterr().err
        assert code == (2 if what else 4), errors
        assert errors.startswith("Error: ")
        assert str(home / name) in errors
        assert len(errors.splitlines()) == 1
    monkeypatch.setenv("BEATSIGHT_DEBUG", "1")
    assert partitions.main(["list"])
    assert "Traceback" in capsys.readouterr().err


def test_a_home_that_is_in_use_or_new_is_fine(home):
    check_home(home)
    with sqlite3.connect(home / DATABASES[0]) as database:
        database.execute("BEGIN EXCLUSIVE")
        check_home(home)
    database.close()
    for name in DATABASES:
        (home / name).unlink(missing_ok=True)
    check_home(home)

"""Forgetting a manifest in Dagster: its partition goes, with and without the command line, and a new one may come."""

import io
import json
import shutil
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.manifest.read_manifest import build_catalog, manifest_key
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster import forget
from beatsight_dagster.definitions import defs
from beatsight_dagster.partitions import register
from beatsight_dagster.run_tags import CHAIN_TAG

EVENT = {
    "event_id": "e1", "session_id": "s1", "audio_path": "a.wav", "onset_time": 1.0, "components": [{"label": "kick"}],
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, prepared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("DAGSTER_HOME", "BEATSIGHT_DATA_ROOT"):  # the command sets these
        monkeypatch.setenv(name, "")
    settings = load_settings(tmp_path / "data")
    shutil.copytree(prepared_home, settings.dagster_home)
    settings.manifests_dir.mkdir()
    return settings


def prepared(settings: Settings, instance: dg.DagsterInstance, name: str, *source_sets: str) -> str:
    """The key of a manifest that has a catalog and a partition."""
    path = settings.manifests_dir / f"{name}.jsonl"
    lines = [{**EVENT, "event_id": source_set, "source_set": source_set} for source_set in source_sets]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    register(instance, [build_catalog(settings, path).key], source_sets)
    return manifest_key(path)


def run_job(settings: Settings, instance: dg.DagsterInstance, **config: object) -> dg.ExecuteInProcessResult:
    """The job of the web UI."""
    return defs.resolve_job_def("forget_manifest").execute_in_process(
        instance=instance,
        run_config={
            "ops": {"forget": {"config": config}},
            "resources": {"settings": {"config": {"data_root": str(settings.data_root)}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        raise_on_error=False,
    )


def test_the_partition_goes_with_source_sets_that_only_it_had(root: Settings, instance: dg.DagsterInstance) -> None:
    first = prepared(root, instance, "first", "shared", "alone")
    second = prepared(root, instance, "second", "shared")
    (root.data_root / "beatsight.toml").write_text('[sources.configured]\nlicence = "CC0-1.0"\n')
    register(instance, source_sets=["configured", "by-hand"])
    catalog = root.catalog_dir / first
    looked = run_job(root, instance, manifest=first[:7])
    assert looked.success
    assert catalog.is_dir()
    assert instance.get_dynamic_partitions("manifests") == [first, second]
    assert run_job(root, instance, manifest=first, really=True).success
    assert not catalog.exists()
    assert instance.get_dynamic_partitions("manifests") == [second]
    assert instance.get_dynamic_partitions("source_sets") == ["shared", "configured", "by-hand"]


def test_a_manifest_at_work_is_not_forgotten(root: Settings, instance: dg.DagsterInstance) -> None:
    key = prepared(root, instance, "m", "kit")
    job = defs.resolve_job_def("export_data")
    for tag, value in (("dagster/partition", f"{key}|kit"), (CHAIN_TAG, key)):
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={tag: value})
        result = run_job(root, instance, manifest=key, really=True)
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        assert f"Runs of {key} are under way: {run.run_id}" in str(failure.step_failure_data.error)
        instance.report_run_canceled(run)
    assert run_job(root, instance, manifest=key, really=True).success


def test_a_partition_that_names_nothing_goes(root: Settings, instance: dg.DagsterInstance) -> None:
    register(instance, ["typo-by hand, 50 %"])
    assert run_job(root, instance, manifest="typo-by hand, 50 %", really=True).success
    assert instance.get_dynamic_partitions("manifests") == []
    missing = run_job(root, instance, manifest="typo-by hand, 50 %", really=True)
    assert not missing.success


def test_the_command_prints_and_removes(
    root: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with dg.DagsterInstance.from_config(str(root.dagster_home)) as instance:
        key = prepared(root, instance, "m", "kit")
        register(instance, ["by-hand"])
        data_root = ["--data-root", str(root.data_root)]
        assert forget.main([*data_root, "look", "m.jsonl"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said == {"registered": [key, "by-hand"], "partition": True, "source_sets": ["kit"], "runs": []}
        assert forget.main([*data_root, "look", "nowhere"]) == 0
        assert json.loads(capsys.readouterr().out) == {"registered": [key, "by-hand"]}
        monkeypatch.setattr("sys.stdin", io.StringIO('["kit"]'))
        assert forget.main([*data_root, "remove", key]) == 0
        assert instance.get_dynamic_partitions("manifests") == ["by-hand"]
        assert instance.get_dynamic_partitions("source_sets") == []


def test_the_verb_removes_what_was_added_by_hand(root: Settings) -> None:
    with dg.DagsterInstance.from_config(str(root.dagster_home)) as instance:
        register(instance, ["by hand"])
        arguments = ["manifest", "forget", "by hand", "--data-root", str(root.data_root), "--yes", "--json"]
        result = CliRunner().invoke(beatsight, arguments)
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert (said["done"], said["partition"], said["paths"]) == (True, True, [])
        assert instance.get_dynamic_partitions("manifests") == []

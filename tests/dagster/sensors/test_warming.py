"""A new dataset warms its features: what was exported from a terminal is recorded, and the condition asks once."""

import os
import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from beatsight_core.dataset.export import export_dataset
from beatsight_core.dataset.index import index_paths
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster.definitions import defs
from beatsight_dagster.partitions import register
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.sensors.datasets import DATASET, dataset_indexes

FEATURES = dg.AssetKey("feature_cache")
SOURCE_SETS = ("demo_multitrack", "demo_stems", "demo_takes")


class Daemon:
    """The two sensors as the daemon looks through them; cursors go from look to look."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance):
        self.settings, self.instance = settings, instance
        self.seen: str | None = None
        self.asked: list[dg.RunRequest] = []
        self.evaluated: dg.AssetDaemonCursor | None = None

    def export(self, *, settled: bool = True, **options: object) -> str:
        """Export as the command line does; the manifest's key."""
        key = export_dataset(self.settings, "demo.jsonl", workers=1, **options).key  # type: ignore[arg-type]
        changed = time.time() - (60 if settled else 0)
        for path in index_paths(self.settings, key):
            os.utime(path, (changed, changed))
        return key

    def look(self) -> list[str]:
        """A look at the indexes: the partitions that are to be recorded. Their runs are carried out at once."""
        resource = SettingsResource(data_root=str(self.settings.data_root))
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.seen, repository_def=defs.get_repository_def(),
            resources={"settings": resource},
        ) as context:  # fmt: skip
            result = dataset_indexes(context)
        assert isinstance(result, dg.SensorResult)
        self.seen = result.cursor
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        for run in result.run_requests or []:
            self.asked.append(run)
            self.run("record_dataset", str(run.partition_key), run.run_config)
        return [str(run.partition_key) for run in result.run_requests or []]

    def run(self, job: str, partition: str, config: Mapping[str, Any]) -> dg.ExecuteInProcessResult:
        """A run of a job over one partition, in this process."""
        means = {
            "resources": {"settings": {"config": {"data_root": str(self.settings.data_root)}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }
        return defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, partition_key=partition, run_config={**config, **means}, raise_on_error=False
        )

    def requested(self) -> set[str]:
        """Partitions of the feature cache that the condition asks for now."""
        result = dg.evaluate_automation_conditions(
            defs=defs,
            instance=self.instance,
            asset_selection=dg.AssetSelection.assets(FEATURES),
            cursor=self.evaluated,
        )
        self.evaluated = result.cursor
        return set(result.get_requested_partitions(FEATURES))

    def record(self, asset: dg.AssetKey, partition: str) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition))


@pytest.fixture
def daemon(corpus: Settings, instance: dg.DagsterInstance) -> Daemon:
    return Daemon(corpus, instance)


def recorded(daemon: Daemon, key: str) -> dict[str, dict[str, Any]]:
    """Source set -> metadata of its last materialization."""
    found = {}
    for name in SOURCE_SETS:
        wanted = dg.AssetRecordsFilter(asset_key=DATASET, asset_partitions=[f"{key}|{name}"])
        for record in daemon.instance.fetch_materializations(wanted, limit=1).records:
            assert record.asset_materialization is not None
            found[name] = {k: value.value for k, value in record.asset_materialization.metadata.items()}
    return found


def partitions(key: str) -> set[str]:
    return {f"{key}|{name}" for name in SOURCE_SETS}


def test_what_was_exported_from_a_terminal_is_recorded_and_warmed_once(daemon: Daemon) -> None:
    assert daemon.look() == []
    assert daemon.requested() == set()
    key = daemon.export()
    shards = {path: path.stat().st_mtime_ns for path in daemon.settings.shards_dir.rglob("*.parquet")}
    assert set(daemon.look()) == partitions(key)
    found = recorded(daemon, key)
    assert set(found) == set(SOURCE_SETS)
    assert all(figures["clips"] > 0 for figures in found.values())
    assert {path: path.stat().st_mtime_ns for path in daemon.settings.shards_dir.rglob("*.parquet")} == shards
    assert key in daemon.instance.get_dynamic_partitions("manifests")
    assert daemon.requested() == partitions(key)
    assert daemon.requested() == set()  # asked for once, though nothing has come of it yet
    assert daemon.look() == []
    for partition in partitions(key):
        daemon.record(FEATURES, partition)
    assert daemon.requested() == set()


def test_a_dataset_that_was_there_before_the_daemon_is_warmed_too(daemon: Daemon) -> None:
    key = daemon.export()
    daemon.look()
    assert daemon.requested() == partitions(key)


def test_only_a_changed_dataset_is_warmed_again(daemon: Daemon) -> None:
    key = daemon.export()
    daemon.look()
    daemon.requested()
    for partition in partitions(key):
        daemon.record(FEATURES, partition)
    daemon.requested()
    file = daemon.settings.data_root / "beatsight.toml"
    changed = file.read_text() + "\n[dataset]\ntail_ms = 150.0\n"
    file.unlink()  # it is shared with the other tests
    file.write_text(changed)
    daemon.settings = load_settings(daemon.settings.data_root)
    daemon.export(source_sets=["demo_takes"])
    assert daemon.look() == [f"{key}|demo_takes"]
    assert daemon.requested() == {f"{key}|demo_takes"}


def test_a_dataset_that_failed_its_checks_is_recorded_and_not_warmed(daemon: Daemon) -> None:
    file = daemon.settings.data_root / "beatsight.toml"
    strict = file.read_text().replace("max_missing_rate_per_source = 0.6", "max_missing_rate_per_source = 0.02")
    file.unlink()
    file.write_text(strict)
    key = daemon.export()
    daemon.look()
    assert set(recorded(daemon, key)) == set(SOURCE_SETS)
    assert daemon.requested() == {f"{key}|demo_multitrack"}  # of the others too many files are broken
    assert daemon.requested() == set()


def test_what_dagster_made_itself_is_neither_recorded_nor_warmed_twice(daemon: Daemon) -> None:
    key = daemon.export()
    register(daemon.instance, [key], SOURCE_SETS)
    assert daemon.run("export_data", f"{key}|demo_takes", {}).success
    assert recorded(daemon, key)["demo_takes"]["report"] == f"/reports/datasets/{key}.html"
    assert set(daemon.look()) == partitions(key) - {f"{key}|demo_takes"}
    assert f"{key}|demo_takes" not in daemon.requested()


def test_a_smoke_run_and_an_unsettled_or_damaged_index_are_left_alone(daemon: Daemon) -> None:
    limited = daemon.export(limit=100)
    assert daemon.look() == []
    assert limited not in daemon.instance.get_dynamic_partitions("manifests")
    key = daemon.export(settled=False)
    assert daemon.look() == []
    damaged, *others = index_paths(daemon.settings, key)
    damaged.write_bytes(damaged.read_bytes()[:50])
    for path in (damaged, *others):
        os.utime(path, (1, 1))
    assert set(daemon.look()) == partitions(key) - {f"{key}|{damaged.stem}"}


def test_an_index_whose_time_lies_ahead_is_recorded_once_it_was_seen_twice(daemon: Daemon) -> None:
    key = daemon.export()
    for path in index_paths(daemon.settings, key):
        os.utime(path, (time.time() + 7200, time.time() + 7200))
    assert daemon.look() == []
    assert set(daemon.look()) == partitions(key)
    assert daemon.look() == []


def test_a_record_that_failed_is_asked_for_again_when_index_or_settings_changed(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, took_runs = daemon.export(source_sets=["demo_takes"]), daemon.run

    def refuse(job: str, partition: str, config: Mapping[str, Any]) -> None:
        request = daemon.asked[-1]
        tags = {**request.tags, "dagster/partition": partition, "dagster/run_key": str(request.run_key)}
        job_def = defs.resolve_job_def(job)
        daemon.instance.create_run_for_job(job_def, status=dg.DagsterRunStatus.FAILURE, tags=tags)

    monkeypatch.setattr(daemon, "run", refuse)
    (path,) = index_paths(daemon.settings, key)
    assert len(daemon.look()) == 1
    assert [daemon.look() for _ in range(5)] == [[]] * 5
    daemon.seen = None  # the cursor is lost
    assert daemon.look() == []
    os.utime(path, (time.time() - 90, time.time() - 90))
    assert len(daemon.look()) == 1
    file = daemon.settings.data_root / "beatsight.toml"
    changed = file.read_text().replace("max_missing_rate = 0.5", "max_missing_rate = 0.6")
    file.unlink()  # it is shared with the other tests
    file.write_text(changed)
    monkeypatch.setattr(daemon, "run", took_runs)
    assert len(daemon.look()) == 1
    assert daemon.look() == []
    assert len({request.run_key for request in daemon.asked}) == 3  # Dagster drops a key that it has had before
    assert set(recorded(daemon, key)) == {"demo_takes"}


def test_while_a_run_exports_nothing_is_recorded(daemon: Daemon) -> None:
    key = daemon.export()
    register(daemon.instance, [key], SOURCE_SETS)
    run = daemon.instance.create_run_for_job(
        defs.resolve_job_def("export_data"),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": f"{key}|demo_takes"},
    )
    assert daemon.look() == []
    daemon.instance.report_run_canceled(run)
    assert set(daemon.look()) == partitions(key)

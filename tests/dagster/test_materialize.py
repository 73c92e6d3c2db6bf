"""The assets over a tiny corpus: in this process for what they make, in processes of their own for the driver."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from beatsight_core.errors import GateError, UsageError
from beatsight_core.gates.record import HEALTH_REPORT, sealed
from beatsight_core.manifest.read_manifest import manifest_key
from beatsight_core.names import file_name
from beatsight_core.runs.candidate import candidate
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster.checks.evaluation import results as agreement
from beatsight_dagster.definitions import defs
from beatsight_dagster.materialize import GraphRequest, fail_runs_of_dead_drivers, main, materialize_graph
from beatsight_dagster.partitions import register, source_range
from beatsight_dagster.run_tags import PROCESS_TAG, RANGE_END_TAG, RANGE_START_TAG
from beatsight_dagster.terminal.event_lines import EventPrinter

ABSENT = "set_of_another_manifest"


class Place:
    """A corpus and an instance; runs assets of one partition, or of a range of partitions, in this process."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance):
        self.settings, self.instance = settings, instance
        self.key = manifest_key(settings.manifests_dir / "demo.jsonl")
        self.results: dict[str, dg.ExecuteInProcessResult] = {}
        register(instance, [self.key], [ABSENT])

    def run(self, *assets: str, tags: dict[str, str] | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            partition_key=None if tags else self.key,
            tags=tags,
            run_config={
                "ops": {asset: {"config": values} for asset, values in config.items()},
                "resources": {"settings": {"config": {"data_root": str(self.settings.data_root)}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
        self.results |= dict.fromkeys(assets, result)
        return result

    def metadata(self, asset: str, partition: str | None = None) -> dict[str, Any]:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition or self.key])
        (record,) = self.instance.fetch_materializations(wanted, limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def checks(self, asset: str) -> dict[tuple[str, str | None], dg.AssetCheckEvaluation]:
        found = self.results[asset].get_asset_check_evaluations()
        return {(e.check_name, e.partition): e for e in found if e.asset_key == dg.AssetKey(asset)}


@pytest.fixture(scope="module")
def place(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The graph up to a refused promotion, run once for all tests of this file."""
    root = tmp_path_factory.mktemp("graph") / "data"
    root.mkdir()
    for name in ("raw", "manifests", "beatsight.toml"):
        (root / name).symlink_to(tiny_corpus / name)
    with dg.DagsterInstance.ephemeral() as instance:
        place = Place(load_settings(root), instance)
        assert place.run("manifest", "audio_inventory").success
        first, last = source_range(instance, place.key, [ABSENT, "demo_takes"])
        assert place.run("dataset", "feature_cache", tags={RANGE_START_TAG: first, RANGE_END_TAG: last}).success
        assert place.run("dataset_health").success
        training = {"warmup_probe": {"overrides": {"epochs": 1}, "device": "cpu"}}
        assert place.run("warmup_probe", "evaluation_report", **training).success
        yield place


def test_a_manifest_shows_what_was_read_and_refused(place: Place) -> None:
    found = place.metadata("manifest")
    assert found["read"] == found["kept"] + found["rejected"]
    assert found["dagster/row_count"] == found["kept"]
    assert {row.data["source_set"] for row in found["by source set"].records} == {
        "demo_multitrack", "demo_stems", "demo_takes",
    }  # fmt: skip
    assert {name for name, _ in place.checks("manifest")} == {"lines_reconcile", "reject_rate"}
    assert place.metadata("audio_inventory")["missing"] == 1


def test_every_source_set_is_a_partition_of_its_own(place: Place) -> None:
    clips = 0
    for source_set in ("demo_multitrack", "demo_stems", "demo_takes"):
        partition = f"{place.key}|{source_set}"
        dataset, features = place.metadata("dataset", partition), place.metadata("feature_cache", partition)
        assert dataset["clips"] == features["clips"] == dataset["dagster/row_count"] > 0
        assert "audio" in {column.name for column in dataset["dagster/column_schema"].columns}
        clips += dataset["clips"]
    assert place.checks("dataset")["hits_reconcile", f"{place.key}|demo_stems"].passed
    assert place.metadata("evaluation_report")["hits"] < clips


def test_a_source_set_that_the_manifest_lacks_is_an_empty_partition(place: Place) -> None:
    partition = f"{place.key}|{ABSENT}"
    for asset in ("dataset", "feature_cache"):
        found = place.metadata(asset, partition)
        assert found["dagster/row_count"] == 0
        assert "no events of this source set" in found["empty"]
        assert place.checks(asset)["coverage", partition].passed


def test_checks_point_at_the_materialization_they_are_about(place: Place) -> None:
    for (_, partition), check in place.checks("dataset").items():
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("dataset"), asset_partitions=[str(partition)])
        (record,) = place.instance.fetch_materializations(wanted, limit=1).records
        assert check.target_materialization_data is not None
        assert check.target_materialization_data.storage_id == record.storage_id


def test_health_gates_are_checks(place: Place) -> None:
    checks = place.checks("dataset_health")
    assert {name for name, _ in checks} == {
        "rejects", "counts", "techniques", "labels", "audio", "sound", "reconciliation", "leakage", "baseline",
    }  # fmt: skip
    assert all(check.passed and check.blocking for check in checks.values())
    told = place.metadata("dataset_health")
    assert told["failed_gates"] == 0
    assert len(told["seal"]) == 64
    assert {row.data["source"] for row in told["sound by source set"].records} == {
        "demo_multitrack",
        "demo_stems",
        "demo_takes",
    }


def test_training_and_evaluation_show_figures_and_pictures(place: Place) -> None:
    probe, report = place.metadata("warmup_probe"), place.metadata("evaluation_report")
    assert probe["run_id"] == report["run_id"]
    assert isinstance(probe["loss"], float)
    drawn = [probe[name] for name in ("losses", "curves", "F1 curves", "learning rate", "confusion")]
    for found in (*drawn, report["confusion"]):
        assert found.startswith("![")
        assert "data:image/png;base64," in found
        assert len(found) < 140_000
    rows = {row.data["component"]: row.data for row in probe["by component"].records}
    assert {"positives", "f1", "precision", "recall", "ap", "threshold"} < set(rows["kick"])
    assert all(isinstance(probe[name], float) for name in ("accuracy", "f1_kick", "clips_per_second", "cpu_share"))
    assert [row.data["epoch"] for row in probe["last epochs"].records] == [1]
    environment = {row.data["what"]: row.data["value"] for row in probe["environment"].records}
    assert environment["seed"] == "1337"
    assert environment["torch"].startswith("2.")
    assert probe["W&B"] == "not tracked"
    assert Path(probe["history"]).is_file()
    checks = place.checks("warmup_probe")
    assert checks["finite", place.key].passed
    assert not checks["probe_gate", place.key].blocking
    assert place.checks("evaluation_report")["agrees_with_run", place.key].passed


def test_an_evaluation_that_finds_another_accuracy_than_training_fails_its_check(place: Place) -> None:
    file = place.settings.run_root / place.metadata("evaluation_report")["run_id"] / "metrics.json"
    original, stamp = file.read_text(), file.stat()
    content = json.loads(original)
    content["metrics"]["accuracy"] += 0.01
    file.write_text(json.dumps(content))
    place.run("evaluation_report")
    check = place.checks("evaluation_report")["agrees_with_run", place.key]
    assert not check.passed
    assert check.blocking
    assert check.metadata["gap"].value == pytest.approx(0.01)
    assert check.description is not None
    assert f"{content['metrics']['accuracy']:.4f} in the run" in check.description
    place.run("evaluation_report", evaluation_report={"fraction": 0.5})
    assert place.checks("evaluation_report")["agrees_with_run", place.key].passed  # other hits are not compared
    file.write_text(original)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    place.run("evaluation_report")
    assert place.checks("evaluation_report")["agrees_with_run", place.key].passed


def test_an_accuracy_that_only_one_side_has_does_not_agree() -> None:
    def passed(found: float | None, known: float | None) -> bool:
        (result,) = agreement({"metrics": {"accuracy": found}}, {"accuracy": known}, same_hits=True)
        return bool(result.passed)

    assert passed(0.5, 0.5015)
    assert passed(None, None)
    assert not passed(None, 0.001)
    assert not passed(0.001, None)


def test_the_long_run_asks_for_a_healthy_probe(place: Place) -> None:
    assert not place.checks("warmup_probe")["probe_gate", place.key].passed
    result = place.run("long_run_model")
    assert not result.success
    probe = place.metadata("warmup_probe")["run_id"]
    assert f"{probe}: it was trained for 1 epoch, and the preset has 8" in failure(result)
    assert not list(place.settings.run_root.glob("long_run*"))


def test_evaluation_and_release_follow_what_the_launch_trained(place: Place) -> None:
    first = place.metadata("warmup_probe")["run_id"]
    tiny = {"overrides": {"epochs": 1}, "device": "cpu"}
    trained = place.run("baseline_model", baseline_model=tiny)
    assert trained.success
    baseline = place.metadata("baseline_model")["run_id"]
    assert place.metadata("evaluation_report")["run_id"] == baseline  # it is evaluated at once, by the same step
    (agreed,) = [e for e in trained.get_asset_check_evaluations() if e.check_name == "agrees_with_run"]
    assert agreed.passed
    assert (agreed.asset_key.to_user_string(), agreed.partition) == ("evaluation_report", place.key)
    # The probe's run is found finished, so that it is not the newest on disk.
    assert place.run("warmup_probe", warmup_probe=tiny).success
    assert place.metadata("warmup_probe")["run_id"] == place.metadata("evaluation_report")["run_id"] == first
    assert candidate(place.settings, place.key).run_id == baseline
    # Alone, an evaluation is of what was trained last, and what follows is of what was evaluated last.
    assert place.run("evaluation_report").success
    assert place.metadata("evaluation_report")["run_id"] == first
    assert place.run("evaluation_report", evaluation_report={"run": baseline}).success
    assert place.run("run_archive").success
    assert place.metadata("run_archive")["run_id"] == baseline
    assert place.run("evaluation_report", evaluation_report={"run": first}).success
    assert f"{first} is refused" in failure(place.run("promoted_model"))


@pytest.fixture
def unhealthy(place: Place) -> Iterator[str]:
    """The health report with a gate that failed against a baseline; put right again afterwards."""
    path = place.settings.health_dir / file_name(place.key) / "report.json"
    before = path.read_bytes()
    report = json.loads(before)
    report["passed"] = False
    report["gates"].append({**report["gates"][0], "name": "drop of kick", "group": "baseline", "passed": False})
    path.write_text(json.dumps(sealed(report, HEALTH_REPORT.seal)))
    yield "drop of kick"
    path.write_bytes(before)


def test_costly_training_asks_the_health_report_itself(place: Place, unhealthy: str) -> None:
    tiny = {"overrides": {"epochs": 1, "seed": 5}, "device": "cpu"}
    for asset in ("baseline_model", "long_run_model"):
        said = failure(place.run(asset, **{asset: tiny}))
        assert "The health report does not hold: it judges other gates" in said
        assert unhealthy not in said
    assert place.run("warmup_probe", warmup_probe={**tiny, "overrides": {"epochs": 1}}).success
    reason = "the gate is known and being mended"
    assert place.run("baseline_model", baseline_model={**tiny, "override_health": reason}).success
    assert place.metadata("baseline_model")["override of health"].startswith(
        f"{reason} (refused: The health report does not hold"
    )
    waived = {**tiny, "override_health": reason}
    refused = failure(place.run("long_run_model", long_run_model=waived))
    assert "There is no finished warm-up probe of this recipe" in refused


def test_a_refused_promotion_lists_its_criteria_and_makes_nothing(place: Place) -> None:
    result = place.run("promoted_model")
    assert not result.success
    checks = place.checks("promoted_model")
    assert not checks["accuracy", place.key].passed
    assert checks["evaluation_matches", place.key].passed
    assert checks["exported_model", place.key].passed
    assert "is refused: accuracy" in failure(result)
    assert "gates/promotion.json" in failure(result).splitlines()[0]
    assert not result.asset_materializations_for_node("promoted_model")
    assert not (place.settings.models_dir / "current_drum_classifier.pth").exists()


def test_a_reason_promotes_what_failed_its_criteria_but_not_what_is_not_fit_for_use(place: Place) -> None:
    toml = place.settings.data_root / "beatsight.toml"
    lenient, target = toml.read_text(), toml.readlink()
    forced = {"force": "a test", "device": "cpu"}
    toml.unlink()
    try:
        toml.write_text(lenient + "\n[release]\nmax_size_mb = 0.001\n")
        refused = place.run("promoted_model", promoted_model=forced)
        assert "not fit for use" in failure(refused)
        assert "size of the version" in failure(refused)
        assert not (place.settings.models_dir / "current_drum_classifier.pth").exists()
        assert place.checks("promoted_model")["exported_model", place.key].passed
        assert not place.checks("promoted_model")["fit_for_use", place.key].passed
        toml.write_text(lenient)
        assert place.run("promoted_model", promoted_model=forced).success
        assert place.checks("promoted_model")["fit_for_use", place.key].passed
        shown = place.metadata("promoted_model")
        assert {row.data["gate"]: row.data["passed"] for row in shown["files of the version"].records}[
            "size of the version"
        ] == "yes"
        assert shown["changed in external files"] == "nothing"
        assert (place.settings.models_dir / "current_drum_classifier.pth").exists()
    finally:
        toml.unlink()
        toml.symlink_to(target)
        shutil.rmtree(place.settings.models_dir, ignore_errors=True)


def test_the_driver_says_which_health_gates_failed(place: Place, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    for entry in place.settings.data_root.iterdir():
        if entry.name not in ("beatsight.toml", "reports"):
            (tmp_path / entry.name).symlink_to(entry)
    lenient = (place.settings.data_root / "beatsight.toml").read_text()
    (tmp_path / "beatsight.toml").write_text(lenient.replace("china = 1", "china = 9999"))
    strict = Place(load_settings(tmp_path), instance)
    assert not strict.run("dataset_health").success
    with EventPrinter(instance, {"dagster/partition": place.key}, lambda _: None) as printer:
        pass
    (said,) = printer.failures
    assert said.startswith("dataset_health: counts: ")
    assert "of at least 9,999 hits hold china" in said


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_failure_data.error)


@pytest.fixture
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the driver sets for the processes that it starts, and must not outlive a test."""
    for name in ("DAGSTER_HOME", "BEATSIGHT_DATA_ROOT"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("BEATSIGHT_LEASE_DIR", str(tmp_path / "leases"))
    monkeypatch.setenv("BEATSIGHT_DEVICES", "")


@pytest.mark.usefixtures("own_environment")
def test_the_driver_runs_the_graph_in_processes_and_closes_runs_of_dead_drivers(corpus: Settings) -> None:
    said: list[str] = []
    good = (corpus.manifests_dir / "demo.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()[0]
    (corpus.manifests_dir / "bad.jsonl").write_text("\n".join([good, *["not an event"] * 9]))
    with pytest.raises(GateError, match=r"manifest: reject_rate: 9 of 10 lines were refused: bad_json 9 "):
        materialize_graph(corpus, GraphRequest("bad.jsonl", until="ingest"), say=said.append)
    assert "✗ manifest: 1 blocking checks failed" in said
    said.clear()
    result = materialize_graph(corpus, GraphRequest("demo.jsonl", until="ingest"), say=said.append)
    assert len(result.runs) == 1
    assert [line.split(",")[0] for line in said if line[0] in "▸✓"] == [
        "▸ manifest", "✓ manifest", "▸ audio_inventory", "✓ audio_inventory",
    ]  # fmt: skip
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(result.runs[0])
        assert run is not None
        assert run.job_name == "prepare_data"
        assert run.remote_job_origin is not None  # without it neither the timeline nor the job's page shows the run
        assert run.remote_job_origin.repository_origin.get_label() == "__repository__@beatsight"
        assert run.tags["dagster/max_retries"] == "0"
        assert run.tags[PROCESS_TAG].startswith(f"{socket.gethostname()}:{os.getpid()}:")
        job = defs.resolve_job_def("prepare_data")
        lost = instance.create_run_for_job(
            job,
            status=dg.DagsterRunStatus.STARTED,
            tags={"dagster/partition": result.partition, PROCESS_TAG: f"{socket.gethostname()}:1:0.00"},
        )
        alive = instance.create_run_for_job(
            job,
            status=dg.DagsterRunStatus.STARTED,
            tags={"dagster/partition": result.partition, PROCESS_TAG: run.tags[PROCESS_TAG]},
        )
        assert fail_runs_of_dead_drivers(instance) == 1
        for opened, status in ((lost, "FAILURE"), (alive, "STARTED")):
            again = instance.get_run_by_id(opened.run_id)
            assert again is not None
            assert again.status.value == status


def test_wrong_requests_are_refused_before_anything_runs(corpus: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="There is no stage 'tea'"):
        materialize_graph(corpus, GraphRequest("demo.jsonl", until="tea"))
    root = ["--data-root", str(corpus.data_root)]
    assert main([*root, "nowhere.jsonl"]) == 3
    assert main([*root, "demo.jsonl", "--set", "epochs"]) == 2
    assert "--set epochs has no value" in capsys.readouterr().err

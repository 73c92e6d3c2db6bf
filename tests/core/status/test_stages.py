"""Where a manifest stands, read from real files: each state of a stage, and the command that follows from it."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from beatsight_core.dataset.export import export_dataset
from beatsight_core.files import exclusive_lock
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.runs.records import METRICS, open_run
from beatsight_core.settings import Settings, load_settings
from beatsight_core.status.manifest_status import status_of
from beatsight_core.status.stage import ManifestStatus, Stage
from beatsight_core.status.status_list import list_statuses, status_list_of


@pytest.fixture(scope="module")
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with an exported manifest of two sessions. Not to be changed."""
    from tests.core.conftest import SETTINGS, write_corpus

    root = tmp_path_factory.mktemp("exported") / "data"
    root.mkdir()
    (root / "beatsight.toml").write_text(SETTINGS)
    export_dataset(load_settings(root), write_corpus(root, sessions=2, hits=12))
    return root


@pytest.fixture
def exported(exported_once: Path, tmp_path: Path) -> Settings:
    copy = tmp_path / "exported"
    shutil.copytree(exported_once, copy)
    return load_settings(copy)


def stages_of(status: ManifestStatus) -> dict[str, Stage]:
    return {stage.name: stage for stage in status.stages}


def only(settings: Settings) -> ManifestStatus:
    (status,) = list_statuses(settings).manifests
    return status


def everything_in(folder: Path) -> Iterator[tuple[str, int]]:
    return ((str(path), path.stat().st_mtime_ns) for path in sorted(folder.rglob("*")))


def test_an_export_is_done_and_the_report_is_next_and_nothing_is_written(exported: Settings) -> None:
    before = list(everything_in(exported.data_root))
    status = only(exported)
    assert list(everything_in(exported.data_root)) == before
    states = {name: stage.state for name, stage in stages_of(status).items()}
    assert [states[name] for name in ("manifest", "audio", "export", "health", "features")] == [
        "done", "done", "done", "not yet", "not yet",
    ]  # fmt: skip
    assert (status.here, status.next) == ("health", f"beatsight health {status.key}")
    for ref in ("tiny.jsonl", "tiny-", str(status.key)):
        assert status_list_of(exported, ref).manifests == (status,)


def test_settings_that_changed_make_a_stage_out_of_date(exported: Settings) -> None:
    other = replace(exported, dataset=replace(exported.dataset, tail_ms=80.0))
    assert stages_of(only(other))["export"].state == "out of date"
    assert only(other).next == f"beatsight export {only(other).key}"
    split = replace(exported, dataset=replace(exported.dataset, val_ratio=0.4))
    assert stages_of(only(split))["manifest"].state == "out of date"
    assert only(split).next == f"beatsight manifest check {only(split).key}"


def test_more_missing_audio_than_the_gates_allow_is_a_failure_with_its_figures(exported: Settings) -> None:
    from beatsight_core.audio.inventory import build_inventory
    from beatsight_core.manifest.read_manifest import open_catalog

    key = str(only(exported).key)
    (exported.data_root / "raw" / "tiny" / "00.wav").unlink()
    build_inventory(exported, open_catalog(exported, key))
    audio = stages_of(status_of(exported, key))["audio"]
    assert audio.state == "failed"
    assert "all events (" in audio.findings[0]
    assert "limit" in audio.findings[0]
    lenient = replace(exported, gates=replace(exported.gates, max_missing_rate=1.0, max_missing_rate_per_source=1.0))
    assert stages_of(status_of(lenient, key))["audio"].state == "done"


def test_a_shard_that_is_gone_and_a_damaged_index_are_told(exported: Settings) -> None:
    key = str(only(exported).key)
    for shard in exported.shards_dir.rglob("*.parquet"):
        shard.unlink()
    gone = stages_of(only(exported))["export"]
    assert (gone.state, gone.next) == ("failed", f"beatsight export {key} --heal")
    assert "1 shards are gone" in gone.says
    index = exported.dataset_dir / key / "tiny.json"
    index.write_text(index.read_text().replace('"clips":', '"clips_":', 1))
    broken = stages_of(only(exported))["export"]
    assert (broken.state, broken.next) == ("failed", f"beatsight export {key}")


def test_a_drive_that_is_away_is_named_and_one_that_is_back_asks_for_an_export(
    settings: Settings, make_corpus: Callable[..., Path]
) -> None:
    manifest = make_corpus(settings.data_root, sessions=2, hits=4)
    key = build_catalog(settings, manifest).key
    away = settings.data_root / "away"
    (settings.data_root / "raw").rename(away)
    audio = stages_of(status_of(settings, key))["audio"]
    assert (audio.state, audio.next) == ("failed", f"beatsight export {key}")
    assert str(settings.data_root / "raw" / "tiny") in audio.findings[0]
    from beatsight_core.audio.inventory import build_inventory

    build_inventory(settings, build_catalog(settings, manifest))
    audio = stages_of(status_of(settings, key))["audio"]
    assert audio.state == "failed"
    assert "No root of tiny is mounted" in audio.findings[0]
    away.rename(settings.data_root / "raw")
    assert stages_of(status_of(settings, key))["audio"].state == "out of date"


def test_a_health_report_fails_by_its_gates_and_is_out_of_date_by_other_limits(exported: Settings) -> None:
    from beatsight_core.health.report import run_health

    key = str(only(exported).key)
    report = run_health(exported, key)
    health = stages_of(only(exported))["health"]
    failed = [gate for gate in report.to_json()["gates"] if not gate["passed"]]  # type: ignore[union-attr, call-overload, index]
    assert failed
    assert health.state == "failed"
    assert len(health.findings) == len(failed)
    assert "limit" in health.findings[0]
    assert health.reports == (str(exported.health_dir / key / "report.html"),)
    assert only(exported).first
    looser = replace(exported, gates=replace(exported.gates, min_counts={"kick": 1}))
    health = stages_of(only(looser))["health"]
    assert (health.state, health.next) == ("out of date", f"beatsight health {key}")
    assert any("min_counts" in finding for finding in health.findings)
    path = exported.health_dir / key / "report.json"
    written = path.read_text()
    path.write_text(re.sub(r'"passed": ?false', '"passed": true', written, count=1))
    assert path.read_text() != written
    assert "altered" in stages_of(only(exported))["health"].says


def test_files_of_the_inbox_that_are_no_manifests_are_shown_with_the_reason(settings: Settings) -> None:
    inbox = settings.manifests_dir
    inbox.mkdir(parents=True)
    (inbox / "array.jsonl").write_text('[{"event_id": 1}]')
    (inbox / "empty.jsonl").touch()
    (inbox / "wrong.jsonl").write_text('{"a": 1}\n')
    (inbox / "caps.JSONL").write_text("{}\n")
    found = list_statuses(settings)
    says = {status.name.partition("-")[0]: status.stages[0] for status in found.manifests}
    assert {stage.state for stage in says.values()} == {"failed"}
    assert "a JSON array" in says["array.jsonl"].says
    assert "no line" in says["empty.jsonl"].says
    assert "audio_path" in says["wrong.jsonl"].findings[0]
    assert [Path(file.file).name for file in found.refused] == ["caps.JSONL"]
    assert "rename it" in found.refused[0].why


def test_an_earlier_state_of_a_manifest_is_only_named(exported: Settings) -> None:
    manifest = exported.manifests_dir / "tiny.jsonl"
    before = str(only(exported).key)
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:-1]))
    found = list_statuses(exported)
    assert found.earlier == (before,)
    assert [status.here for status in found.manifests] == ["manifest"]
    assert status_list_of(exported, before).manifests[0].here == "health"


def test_a_run_is_under_way_stopped_failed_or_finished(trained: tuple[Settings, str]) -> None:
    settings, run_id = trained
    run = open_run(settings, run_id)
    evaluation = stages_of(status_of(settings, run.key))["evaluation"]
    assert (evaluation.state, evaluation.next) == ("not yet", f"beatsight evaluate {run_id}")
    probe = stages_of(status_of(settings, run.key))["warm-up probe"]
    assert (probe.state, probe.next) == ("out of date", f"beatsight train {run.key} --preset warmup")
    assert "6 epochs" in probe.says
    (run.folder / METRICS).unlink()
    stopped = stages_of(status_of(settings, run.key))["warm-up probe"]
    assert stopped.state == "under way"
    assert "stopped after epoch 6 of 6" in stopped.says
    assert str(stopped.next).startswith(f"beatsight train {run.key} --preset warmup --set ")
    with exclusive_lock(settings.run_root / ".locks" / run_id):
        at_work = stages_of(status_of(settings, run.key))["warm-up probe"]
    assert "is at epoch 6 of 6" in at_work.says
    (run.folder / "failure.json").write_text('{"error": "the loss is not finite"}')
    failed = stages_of(status_of(settings, run.key))["warm-up probe"]
    assert (failed.state, failed.findings) == ("failed", ("the loss is not finite",))


def test_a_probe_is_judged_and_its_verdict_holds_as_long_as_the_limits_do(trained: tuple[Settings, str]) -> None:
    from beatsight_core.promotion.probe_record import judge_probe

    settings, run_id = trained
    key = open_run(settings, run_id).key
    recipe = {"model": "cnn_small", "batch": 16, "accumulation": 1, "augment_mix_probability": 0.3,
              "augment_noise_probability": 0.0, "augment_mask_probability": 0.0, "augment_eq_db": 0.0}  # fmt: skip
    settings = replace(settings, training={"warmup": {"epochs": 6, "lr": 5e-3}, "long_run": recipe})
    probe = stages_of(status_of(settings, key))["warm-up probe"]
    assert (probe.state, probe.next) == ("under way", f"beatsight judge --probe {run_id}")
    record = judge_probe(settings, run_id)
    failed = [gate for gate in record["gates"] if not gate["passed"]]
    probe = stages_of(status_of(settings, key))["warm-up probe"]
    assert (probe.state, len(probe.findings)) == ("failed" if failed else "done", len(failed))
    stricter = replace(settings, gates=replace(settings.gates, probe={"accuracy": 0.99}))
    probe = stages_of(status_of(stricter, key))["warm-up probe"]
    assert (probe.state, probe.next) == ("out of date", f"beatsight judge --probe {run_id}")
    assert any("accuracy" in finding for finding in probe.findings)
    promotion = stages_of(status_of(settings, key))["promotion"]
    assert (promotion.state, promotion.next) == ("not yet", f"beatsight promote {run_id}")

"""Training as Dagster carries it out: killed, cut into attempts, without a device."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from beatsight_core.compute.overview import overview
from beatsight_core.dataset.export import export_dataset
from beatsight_core.features.build import build_features
from beatsight_core.manifest.read_manifest import manifest_key
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster.definitions import defs
from beatsight_dagster.partitions import register

FAST = {"batch": 16, "accumulation": 1, "least_steps": 0, "model": "cnn_small", "lr": 2e-3}


@pytest.fixture(scope="module")
def features_once(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the features of a tiny corpus. Not to be changed."""
    root = tmp_path_factory.mktemp("features") / "data"
    root.mkdir()
    for name in ("raw", "manifests", "beatsight.toml"):
        (root / name).symlink_to(tiny_corpus / name)
    settings = load_settings(root)
    manifest = settings.manifests_dir / "demo.jsonl"
    export_dataset(settings, manifest, workers=1)
    build_features(settings, manifest, device="cpu")
    return root


@pytest.fixture
def ready(features_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A copy of it, on a machine with one device that exists in name only."""
    root = tmp_path / "data"
    shutil.copytree(features_once, root, symlinks=True)
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0")
    monkeypatch.setenv("BEATSIGHT_LEASE_DIR", str(tmp_path / "leases"))
    return load_settings(root)


def key_of(settings: Settings) -> str:
    return manifest_key(settings.manifests_dir / "demo.jsonl")


def config_of(settings: Settings, **training: Any) -> dict[str, Any]:
    return {
        "ops": {"warmup_probe": {"config": training}},
        "resources": {"settings": {"config": {"data_root": str(settings.data_root)}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 90.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


@pytest.mark.long
def test_a_step_killed_with_9_goes_on_from_its_checkpoint(ready: Settings, prepared_home: Path) -> None:
    shutil.copytree(prepared_home, ready.dagster_home)
    with dg.DagsterInstance.from_config(str(ready.dagster_home)) as instance:
        register(instance, [key_of(ready)], [])
        config = config_of(ready, overrides={**FAST, "epochs": 20}, device="cpu")  # the leased device is a name only
        launch = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "beatsight_dagster.definitions"]
        launch += ["--select", "warmup_probe", "--partition", key_of(ready), "--config-json", json.dumps(config)]
        environment = {**os.environ, "DAGSTER_HOME": str(ready.dagster_home)}
        run = subprocess.Popen(launch, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        latest = wait_for(lambda: next(ready.run_root.glob("*/checkpoints/latest"), None), "a checkpoint")
        before = latest.parent.parent.joinpath("history.jsonl").read_bytes().split(b"\n")[0]
        (holder,) = overview().devices
        os.kill(holder.processes[0].pid, signal.SIGKILL)
        assert run.wait(timeout=120) == 0
        (carried_out,) = instance.get_runs()
        events = [record.dagster_event for record in instance.all_logs(carried_out.run_id) if record.dagster_event]
    (retried,) = [event for event in events if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY]
    assert "was killed by SIGKILL" in (retried.step_retry_data.error.message or "")
    started = [event.message for event in events if "on devices: 0" in (event.message or "")]
    assert len(started) == 2  # leased, and leased again
    history = latest.parent.parent.joinpath("history.jsonl").read_bytes().split(b"\n")
    assert history[0] == before  # with its durations: that epoch was not trained twice
    assert len(history) == 21
    assert [entry.state for entry in overview().devices] == ["free"]


def test_a_launch_may_be_cut_into_attempts(ready: Settings, instance: dg.DagsterInstance) -> None:
    register(instance, [key_of(ready)], [])
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey("warmup_probe")], partition_key=key_of(ready),
        run_config=config_of(
            ready, overrides={**FAST, "epochs": 100_000}, max_seconds=3.0, attempts=2,
            override_health="it never ends", override_probe="it never ends",
        ),
        raise_on_error=False,
    )  # fmt: skip
    assert not result.success
    assert [event.step_key for event in result.all_events if event.is_step_up_for_retry] == ["warmup_probe"]
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "2 attempt(s) of 3 s are used up" in str(failure.step_failure_data.error)


def test_what_would_end_the_same_way_again_is_not_tried_again(ready: Settings, instance: dg.DagsterInstance) -> None:
    register(instance, [key_of(ready)], [])
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey("warmup_probe")], partition_key=key_of(ready),
        run_config=config_of(ready, overrides={"lr": 50.0}), raise_on_error=False,
    )  # fmt: skip
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "min_lr <= lr < 10 must hold" in str(failure.step_failure_data.error)


def test_a_leased_device_that_torch_cannot_use_is_never_the_cpu_in_silence(
    ready: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(instance, [key_of(ready)], [])
    monkeypatch.setenv("BEATSIGHT_LEASED", "0")
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey("warmup_probe")], partition_key=key_of(ready),
        run_config=config_of(ready, overrides={**FAST, "epochs": 1}), raise_on_error=False,
    )  # fmt: skip
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "Torch cannot use device 0" in str(failure.step_failure_data.error)
    assert "`device: cpu`" in str(failure.step_failure_data.error)

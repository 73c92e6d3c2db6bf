"""`beatsight devices`, and the verbs that wait for a device as training does."""

import contextlib
import json
import threading
import time

import numpy as np
import pytest
import soundfile as sf
import torch
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.compute.devices import discover_devices
from beatsight_core.compute.leases import join_queue, try_lease
from beatsight_core.compute.overview import overview


@pytest.fixture(autouse=True)
def two_devices(tmp_path, monkeypatch):
    monkeypatch.setenv("BEATSIGHT_LEASE_DIR", str(tmp_path / "leases"))
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0,1")


def call(*words):
    return CliRunner().invoke(beatsight, [str(word) for word in words])


def test_devices_are_listed_with_holders_and_those_who_wait():
    devices = discover_devices()
    with (
        contextlib.closing(try_lease(1, devices, {"run": "a1b2", "step": "baseline_model"})),
        contextlib.closing(join_queue(2, devices, {"verb": "train", "manifest": "demo"})),
    ):
        shown = call("devices")
        assert shown.exit_code == 0
        for text in (
            "run a1b2 step baseline_model",
            "leased",
            "free",
            "verb train manifest demo",
            "device 0: run a1b2",
        ):
            assert text in shown.stdout
        said = json.loads(call("devices", "--json").stdout)
    assert [entry["state"] for entry in said["devices"]] == ["leased", "free"]
    assert said["devices"][0]["holder"] == {"run": "a1b2", "step": "baseline_model"}
    assert said["waiting"][0]["who"] == {"verb": "train", "manifest": "demo"}
    assert {"driver", "cuda", "source", "folder", "at"} <= said.keys()


def test_a_machine_without_devices_says_what_that_means(monkeypatch):
    monkeypatch.setenv("BEATSIGHT_DEVICES", "")
    shown = call("devices")
    assert shown.exit_code == 0
    assert "No device is known" in shown.stdout
    assert "run on the CPU" in shown.stdout


def test_a_verb_whose_work_is_long_waits_for_a_device(trained, monkeypatch):
    settings, run_id = trained
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    held = try_lease(2, discover_devices(), {"run": "another"})
    waited = []

    def release_when_it_waits():
        deadline = time.monotonic() + 60
        while not waited and time.monotonic() < deadline:
            waited.extend(overview().waiting)
            time.sleep(0.01)
        held.close()

    watcher = threading.Thread(target=release_when_it_waits)
    watcher.start()
    result = call("evaluate", run_id, "--data-root", settings.data_root)
    watcher.join()
    assert waited[0].who["verb"] == "evaluate"
    assert result.exit_code == 2
    assert "Torch cannot use device 0 (named by BEATSIGHT_DEVICES)" in result.stderr  # it exists in name only


def test_a_verb_whose_work_is_small_takes_the_cpu_at_once(trained, tmp_path, monkeypatch):
    settings, run_id = trained
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    sf.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    with contextlib.closing(try_lease(2, discover_devices(), {"run": "another"})):
        result = call("classify", tmp_path / "a.wav", "--model", run_id, "--data-root", settings.data_root)
    assert result.exit_code == 0, result.stderr
    (said,) = [line for line in result.stderr.splitlines() if "small work" in line]
    assert "Device 0 is held by run another" in said
    assert "`--device cuda` waits" in said


@pytest.mark.parametrize("verb", ["promote", "judge"])
def test_verbs_that_judge_a_run_do_small_work(verb, data_root, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with contextlib.closing(try_lease(2, discover_devices(), {"run": "another"})):
        result = call(verb, "nobody", "--data-root", data_root)
    assert result.exit_code == 3  # at once, as there is no such run
    assert "so it runs on the CPU" in result.stderr


def test_a_model_that_is_not_there_is_told_before_any_wait(data_root, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with contextlib.closing(try_lease(2, discover_devices(), {"run": "another"})):
        result = call("classify", "a.wav", "--model", "nobody", "--data-root", data_root)
    assert result.exit_code == 3
    assert "no run 'nobody'" in result.stderr

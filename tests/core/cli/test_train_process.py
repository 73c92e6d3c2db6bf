"""`beatsight train` as a shell starts it: a process that has imported nothing of what these tests import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from beatsight_core.training import checkpoint
from beatsight_core.training.run import open_run

ENDLESS = ("--override-health", "it never ends", "--override-probe", "it never ends")
TINY = {"lr": 5e-3, "batch": 16, "accumulation": 1, "model": "cnn_small"}


@pytest.fixture
def train(trained):
    """Type `beatsight train` on a data root with features."""
    settings, run_id = trained
    key = open_run(settings, run_id).key

    def typed(*words, **values):
        chosen = [word for name, value in {**TINY, **values}.items() for word in ("--set", f"{name}={value}")]
        command = [*map(str, [Path(sys.executable).parent / "beatsight", "train", key, *chosen, *words, "--json"])]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["BEATSIGHT_DATA_ROOT"] = str(settings.data_root)
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout), done.stderr

    return typed


def test_it_trains_in_a_process_of_its_own(train):
    code, said, errors = train("--device", "cpu", epochs=1)
    assert (code, said["status"], said["epochs"]) == (0, "finished", 1), errors


@pytest.mark.long
def test_a_time_limit_ends_an_attempt_with_75_and_the_same_command_goes_on(train, trained):
    settings, _ = trained
    steps, limit_s = [], 5
    while len(steps) < 2:
        code, said, errors = train("--device", "cpu", "--max-seconds", limit_s, *ENDLESS, epochs=100_000)
        assert (code, said["exit_code"], said["error"]["kind"]) == (75, 75, "TimeLimitError"), errors
        run = open_run(settings, "latest")
        assert run.status == "unfinished"
        found = checkpoint.load_newest(run.folder / "checkpoints")
        if "before a step could be taken" in errors:  # on a machine that is very busy
            limit_s *= 2
            assert limit_s < 100
        else:
            assert "Stopped: The time limit is near" in errors
            assert "run the same command again: it goes on" in errors
            steps.append(found.state["progress"]["step"])
    assert 0 < steps[0] < steps[1]
    assert "resuming in epoch" in errors


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a device")
def test_a_device_that_is_not_there_is_a_usage_error(train):
    code, said, errors = train("--device", "cuda", epochs=1)
    assert (code, said["error"]["kind"]) == (2, "DeviceError")
    assert "0 CUDA devices are visible" in errors
    assert "ask for the device auto or cpu" in errors

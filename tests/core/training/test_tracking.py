import dataclasses
import logging
import subprocess
import sys

import pytest

from beatsight_core.settings import TrackingSettings
from beatsight_core.training.tracking import Tracker, flat_numbers, open_tracker

RECORD = {"step": 3, "lr": 0.1, "f1": {"kick": 0.5, "snare": None}, "note": "text", "flag": True}


def tracking(settings, mode):
    return dataclasses.replace(settings, tracking=TrackingSettings(mode=mode, tags=("mine",)))


def test_only_numbers_are_mirrored():
    assert flat_numbers(RECORD) == {"step": 3, "lr": 0.1, "f1/kick": 0.5}


def test_disabled_imports_nothing():
    script = """
import sys
from beatsight_core.settings import load_settings
from beatsight_core.training.tracking import open_tracker
tracker = open_tracker(load_settings(sys.argv[1], {}), "run", {})
tracker.log({"step": 1})
tracker.finish({})
assert "wandb" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, "nowhere"], check=True)


def test_offline_needs_no_network_and_goes_on_after_a_resume(settings):
    script = """
import dataclasses, sys
from beatsight_core.settings import TrackingSettings, load_settings
from beatsight_core.training.tracking import open_tracker
settings = dataclasses.replace(load_settings(sys.argv[1], {}), tracking=TrackingSettings(mode="offline"))
for steps in ((1, 2), (3, 4)):
    tracker = open_tracker(settings, "warmup-made-12345678", {"lr": 0.1}, ("made",))
    for step in steps:
        tracker.log({"step": step, "train_loss": 1 / step})
    tracker.finish({"accuracy": 0.5})
    assert tracker._run is None
"""
    done = subprocess.run(
        [sys.executable, "-c", script, settings.data_root], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "tracking is off" not in done.stderr
    files = list(settings.wandb_root.glob("wandb/offline-run-*/run-warmup-made-12345678.wandb"))
    assert len(files) == 2
    assert all(file.stat().st_size > 0 for file in files)


@pytest.mark.filterwarnings("default")
def test_a_failing_tracker_is_said_once_and_stops_nothing(settings, caplog):
    settings.wandb_root.write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING, "beatsight"):
        tracker = open_tracker(tracking(settings, "offline"), "run", {})
        tracker.log(RECORD)
        tracker.finish({})
    assert caplog.text.count("tracking is off from here") == 1


def test_disabled_is_the_base(settings):
    assert type(open_tracker(settings, "run", {})) is Tracker

"""W&B as a view of the history: real processes of it, offline, against a closed port, against a server that is mute."""

import contextlib
import dataclasses
import datetime
import logging
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from beatsight_core.files import write_json
from beatsight_core.runs import records
from beatsight_core.settings import TrackingSettings
from beatsight_core.training.tracking import mirror, tracking
from beatsight_core.training.tracking.mirror import flat_numbers, run_folders
from beatsight_core.training.tracking.tracking import (
    MirrorProcess,
    Tracker,
    open_tracker,
    read_tracking,
    run_tags,
    wandb_id,
)

RECORD = {"step": 3, "lr": 0.1, "f1": {"kick": 0.5, "snare": None}, "note": "text", "flag": True}
RUN_ID, KEY = "warmup-made-12345678-abcdef01", "made-12345678"
SECRET = "5ecre7" * 6 + "5ecr"


@pytest.fixture
def run(settings):
    """The folder of a run that has begun, and its identity."""
    folder = settings.run_root / RUN_ID
    identity = {"run_id": RUN_ID, "key": KEY, "preset": "warmup", "config": {"lr": 0.1}}
    write_json(folder / records.CONFIG, identity)
    write_json(folder / records.ENVIRONMENT, {"first_sitting": "2025-11-09T08:00:00+00:00", "device": "cpu"})
    return folder, identity


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Busy machines are waited for; how long training itself waits has a test of its own."""
    monkeypatch.setattr(tracking, "FINISH_WAIT_S", mirror.GIVE_UP_S)


def in_mode(settings, mode):
    return dataclasses.replace(settings, tracking=TrackingSettings(mode=mode, tags=("mine",), group="ensemble"))


def record(epoch, **more):
    return {"epoch": epoch, "step": 12 * epoch, "train_loss": 1 / epoch, "f1": {"kick": 0.5}, **more}


def finish_run(folder):
    write_json(folder / records.METRICS, {"metrics": {"accuracy": 0.75, "per_class": {"kick": {"f1": 0.5}}}})
    curve = {"recall": [0.5, 1.0], "precision": [1.0, 0.75], "threshold": [0.9, 0.4]}
    shown = {"classes": ["kick"], "columns": ["kick", "nothing"], "confusion": [[0, 2]]}
    write_json(folder / records.CURVES, {**shown, "precision_recall": {"kick": curve}})


def mirrored(path):
    """Steps, tags and exit code in a `.wandb` file, which is a log of LevelDB's kind that holds protobuf."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    found = {"steps": [], "keys": set(), "tags": [], "group": "", "resume": None, "exit": None}
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind not in (1, 4):
            continue
        one, whole = Record.FromString(whole), b""
        if one.WhichOneof("record_type") == "history":
            found["steps"].append(one.history.step.num)
            found["keys"] |= {item.key or "/".join(item.nested_key) for item in one.history.item}
        elif one.WhichOneof("record_type") == "run":
            found |= {"tags": list(one.run.tags), "group": one.run.run_group, "resume": one.run.resume}
        elif one.WhichOneof("record_type") == "exit":
            found["exit"] = one.exit.exit_code
    return found


def only_folder(settings):
    (folder,) = run_folders(settings.wandb_root, RUN_ID)
    (file,) = folder.glob("*.wandb")
    return folder, mirrored(file)


@contextlib.contextmanager
def mute_server():
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_only_numbers_are_mirrored():
    assert flat_numbers(RECORD) == {"step": 3, "lr": 0.1, "f1/kick": 0.5}


def test_tags_say_manifest_and_day():
    day = datetime.date(2025, 11, 9)
    assert run_tags("prod_combined_events-1a2b3c4d", "long_run", day, ("mine",)) == [
        "long_run", "mine", "prod_combined_20251109",
    ]  # fmt: skip
    assert "prod_combined_20251101" in run_tags("prod_combined_20251101-1a2b3c4d", "warmup", day)
    assert all(len(tag) <= 64 for tag in run_tags("x" * 200 + "-1a2b3c4d", "warmup", day, ("y" * 100,)))


def test_an_id_is_one_that_wandb_takes():
    assert wandb_id(RUN_ID) == RUN_ID
    assert wandb_id("warmup-a name with spaces-1a2b3c4d") != wandb_id("warmup-another: name-1a2b3c4d")
    assert len(wandb_id("warmup-" + "x" * 90)) <= 64


def test_disabled_is_the_base_and_starts_nothing(settings, run):
    assert type(open_tracker(settings, *run)) is Tracker
    script = "import sys, beatsight_core.training.run; assert 'wandb' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_offline_a_resumed_run_is_whole_in_one_folder(settings, run, caplog):
    folder, identity = run
    settings = in_mode(settings, "offline")
    lines = [record(1), record(2), record(3)]
    tracker = open_tracker(settings, folder, identity)
    records.write_history(folder, lines)
    tracker.log()
    tracker.finish()  # stopped; it had written a checkpoint after epoch 2
    first, seen = only_folder(settings)
    assert (seen["steps"], seen["exit"]) == ([12, 24, 36], 1)

    records.write_history(folder, lines[:2])
    with caplog.at_level(logging.INFO, "beatsight"):
        tracker = open_tracker(settings, folder, identity)
        for epoch in (3, 4):
            lines = [*lines[: epoch - 1], record(epoch, again=1)]
            records.write_history(folder, lines)
            tracker.log()
        finish_run(folder)
        tracker.finish()
    second, seen = only_folder(settings)
    assert second != first
    assert seen["steps"] == [12, 24, 36, 48, 49]  # the last are the tables
    assert {"f1/kick", "train_loss", "confusion", "precision_recall"} <= {
        key.removesuffix("/_type") for key in seen["keys"]
    }
    assert seen["tags"] == ["made_20251109", "mine", "warmup"]
    assert (seen["group"], seen["exit"], seen["resume"]) == ("ensemble", 0, False)
    assert f"W&B: {second}" in caplog.messages
    state = read_tracking(folder)
    assert (state["mode"], state["step"], state["problem"]) == ("offline", 48, None)


@pytest.mark.long
@pytest.mark.parametrize("mute", [False, True], ids=["closed port", "mute server"])
def test_an_unreachable_server_breaks_nothing_and_leaves_a_whole_offline_run(settings, run, monkeypatch, caplog, mute):
    folder, identity = run
    with mute_server() if mute else contextlib.nullcontext(closed_port()) as port:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("WANDB_API_KEY", SECRET)
        monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
        tracker = open_tracker(in_mode(settings, "online"), folder, identity)
        for epoch in (1, 2):
            records.write_history(folder, [record(n) for n in range(1, epoch + 1)])
            tracker.log()
        finish_run(folder)
        with caplog.at_level(logging.INFO, "beatsight"):
            tracker.finish()
    _, seen = only_folder(settings)
    assert seen["steps"] == [12, 24, 25]
    assert "could not be reached" in caplog.text
    assert read_tracking(folder)["mode"] == "offline"
    kept = [path for path in settings.data_root.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in kept)
    assert SECRET not in caplog.text


def test_the_end_of_training_waits_so_long_and_no_longer(settings, run, monkeypatch, caplog):
    monkeypatch.setattr(tracking, "FINISH_WAIT_S", 0.2)
    folder, identity = run
    with mute_server() as port:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("WANDB_API_KEY", SECRET)
        monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
        tracker = MirrorProcess(in_mode(settings, "online"), folder, identity)
        with caplog.at_level(logging.WARNING, "beatsight"):
            tracker.finish()
        assert "left behind" in caplog.text
        tracker._process.wait(mirror.GIVE_UP_S)  # and it ends by itself, with the run kept
    assert only_folder(settings)[1]["exit"] == 1


@pytest.mark.filterwarnings("default")
def test_a_failing_tracker_is_said_once_and_stops_nothing(settings, run, caplog):
    settings.wandb_root.write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING, "beatsight"):
        tracker = open_tracker(in_mode(settings, "offline"), *run)
        tracker.log()
        tracker.finish()
    assert caplog.text.count("the run is not tracked") == 1


@pytest.mark.long
def test_a_mirror_whose_training_was_killed_finishes_by_itself(settings, run):
    folder, _ = run
    records.write_history(folder, [record(1)])
    script = """
import os, signal, sys, time
from pathlib import Path
from beatsight_core.files import read_json
from beatsight_core.settings import load_settings
from beatsight_core.training.tracking.tracking import open_tracker
folder = Path(sys.argv[2])
tracker = open_tracker(load_settings(sys.argv[1], {"WANDB_MODE": "offline"}), folder, read_json(folder / "config.json"))
print(tracker._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run(
        [sys.executable, "-c", script, settings.data_root, folder], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -9, killed.stderr
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(killed.stdout)).wait(mirror.GIVE_UP_S)
    _, seen = only_folder(settings)
    assert (seen["steps"], seen["exit"]) == ([12], 1)


@pytest.mark.long
def test_a_terminated_mirror_ends_soon_though_nobody_answers_it(settings, run, monkeypatch):
    folder, identity = run
    with mute_server() as port:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("WANDB_API_KEY", SECRET)
        tracker = MirrorProcess(in_mode(settings, "online"), folder, identity)
        while not settings.wandb_root.exists():  # it is ready for signals once it works
            assert tracker._process.poll() is None
            time.sleep(0.02)
        tracker._process.terminate()
        assert tracker._process.wait(mirror.INIT_TIMEOUT_S) == 1  # by its own clock, before W&B's time-out
        tracker.finish()

"""Sending offline runs: W&B's own command, against a server that does not answer."""

import contextlib
import dataclasses
import socket
import subprocess
import sys

import psutil
import pytest

from beatsight_core.files import exclusive_lock
from beatsight_core.settings import TrackingSettings, load_settings
from beatsight_core.training.tracking import sync
from beatsight_core.training.tracking.tracking import mirror_lock

RUN_ID = "warmup-made-12345678-abcdef01"


def offline_folder(settings, stamp, run_id=RUN_ID, data=b":W&B"):
    folder = settings.wandb_root / "wandb" / f"offline-run-{stamp}-{run_id}"
    folder.mkdir(parents=True)
    (folder / f"run-{run_id}.wandb").write_bytes(data)
    return folder


def test_of_each_run_the_newest_folder_is_sent_unless_it_was(settings):
    offline_folder(settings, "20251109_080000")
    newest = offline_folder(settings, "20251109_090000")
    other = offline_folder(settings, "20251108_100000", "warmup-other-12345678-abcdef01")
    (settings.wandb_root / "wandb" / "run-20251110_080000-online").mkdir()
    assert sync.unsent(settings) == [other, newest]
    (newest / f"run-{RUN_ID}.wandb.synced").touch()
    assert sync.unsent(settings) == [other]
    assert sync.sync_command(other) == [sys.executable, "-m", "wandb", "sync", str(other)]


def test_a_run_under_way_waits(settings):
    folder = offline_folder(settings, "20251109_080000")
    with exclusive_lock(mirror_lock(settings, RUN_ID)):
        assert sync.sync_offline_runs(settings).waiting == (folder,)


@pytest.fixture
def real_folder(settings):
    """What W&B itself wrote."""
    settings.wandb_root.mkdir()
    script = "import sys, wandb; wandb.init(project='p', id='real', mode='offline', dir=sys.argv[1]).finish()"
    subprocess.run([sys.executable, "-c", script, settings.wandb_root], check=True, capture_output=True)
    (folder,) = sync.unsent(settings)
    return folder


@pytest.mark.parametrize("key", ["", "f" * 40], ids=["no key", "no answer"])
def test_what_cannot_be_sent_is_said_and_nothing_is_left_running(settings, real_folder, monkeypatch, key):
    later = offline_folder(settings, "29991109_090000")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", key)
        monkeypatch.setenv("WANDB_CONFIG_DIR", str(settings.data_root))
        monkeypatch.setenv("NETRC", str(settings.data_root / "netrc"))
        monkeypatch.setenv("WANDB_MODE", "offline")
        result = sync.sync_offline_runs(settings, limit_s=3.0)
    assert result.synced == ()
    expected = "sent nothing; is there a key" if not key else "did not answer within 3 s"
    assert expected in result.failed[real_folder]
    assert later in (result.waiting if key else result.failed)
    assert f"0 offline runs sent to W&B; {real_folder.name} was not" in str(result)
    left = []
    for process in psutil.process_iter(["cwd"]):
        with contextlib.suppress(psutil.Error):
            if (process.info["cwd"] or "").startswith(str(settings.wandb_root)):
                left.append(process)
    assert psutil.wait_procs(left, timeout=20)[1] == []  # W&B's service ends by itself


def test_settings_say_whether_it_is_wanted(settings):
    def having(**values):
        return dataclasses.replace(settings, tracking=TrackingSettings(**values))

    assert not sync.wanted(having(mode="offline"))
    assert sync.wanted(having(mode="offline", sync=True))
    assert sync.wanted(having(mode="online"))
    (settings.data_root / "beatsight.toml").write_text("[tracking]\nsync = true\n")
    assert load_settings(settings.data_root, {}).tracking.sync

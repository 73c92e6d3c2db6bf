"""Roots that go and come, drives that do not answer, disks that fill up: each change is told once."""

import shutil
import threading
import time

import pytest

from beatsight_core.alerts import look_around as around
from beatsight_core.alerts.look_around import look_around
from beatsight_core.alerts.outbox import waiting_alerts
from beatsight_core.slow_work import SlowWork


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "drive"
    folder.mkdir()
    (folder / "take.wav").touch()
    return folder


@pytest.fixture
def with_root(receivers, root):
    return receivers(
        f'[sources.kits]\nroots = ["{root}"]\n[alerts]\nmin_free_gb = 0\n'
        '[[alerts.receivers]]\nname = "log"\nkind = "log"\n'
    )


def kinds(settings, now=None):
    return [alert.kind for alert in look_around(settings, now)]


def test_a_root_that_goes_and_comes_is_told_once_each(with_root, root):
    assert kinds(with_root) == []
    root.rename(root.with_name("away"))
    (gone,) = look_around(with_root, 1000.0)
    assert (gone.kind, gone.subject, gone.since) == ("root_gone", str(root), 1000.0)
    assert gone.what == f"A root of kits is gone: {root} (it is not there, or empty)"
    assert kinds(with_root) == []
    root.mkdir()  # a mount point without its drive
    assert kinds(with_root) == []
    root.rmdir()
    root.with_name("away").rename(root)
    (back,) = look_around(with_root, 1000.0 + 600)
    assert back.what == f"A root of kits is there again: {root}, after 10 minutes"
    assert kinds(with_root) == []
    assert [each.alert.kind for each in waiting_alerts(with_root)] == ["root_gone", "root_back"]


def test_a_root_that_nobody_has_seen_is_not_told(with_root, root):
    shutil.rmtree(root)
    assert kinds(with_root) == []
    assert kinds(with_root) == []


def test_a_drive_that_does_not_answer_is_gone_by_the_next_look(with_root, root, monkeypatch):
    """A folder cannot hang by itself: the look at it waits for an event, as it would for a drive."""
    answer, really = threading.Event(), around.is_there
    monkeypatch.setattr(around, "_ROOTS", SlowWork(4))
    monkeypatch.setattr(around, "_LOOK_AT_ONE_S", 0.05)
    assert kinds(with_root) == []
    monkeypatch.setattr(around, "is_there", lambda path: answer.wait() and really(path))
    assert kinds(with_root) == []  # it may be slow
    (gone,) = look_around(with_root)
    assert gone.what.endswith("(its drive does not answer)")
    assert kinds(with_root) == []
    answer.set()
    until = time.monotonic() + 10
    while not (found := kinds(with_root)):
        assert time.monotonic() < until
    assert found == ["root_back"]


def test_a_disk_below_its_limit_is_told_once_and_once_when_it_is_above(receivers, data_root):
    free = shutil.disk_usage(data_root).free / 1e9

    def limit(gigabytes):
        return receivers(f'[alerts]\nmin_free_gb = {gigabytes}\n[[alerts.receivers]]\nname = "l"\nkind = "log"\n')

    assert kinds(limit(free / 2)) == []
    (low,) = look_around(limit(free * 2))
    assert low.kind == "disk_low"
    assert f"free on the drive of {data_root}, less than the limit of {free * 2:g} GB" in low.what
    assert kinds(limit(free * 2)) == []
    assert kinds(limit(free / 1.05)) == []  # above it, but not by enough
    assert kinds(limit(free / 2)) == ["disk_free"]
    assert kinds(limit(free / 2)) == []
    assert kinds(limit(free / 1.05)) == []


def test_a_disk_that_is_low_at_the_first_look_is_told(receivers):
    assert kinds(receivers('[alerts]\nmin_free_gb = 1e9\n[[alerts.receivers]]\nname = "l"\nkind = "log"\n')) == [
        "disk_low"
    ]


def test_a_damaged_memory_is_begun_anew(with_root, root):
    assert kinds(with_root) == []
    (with_root.alerts_dir / "state.json").write_text("{")
    assert kinds(with_root) == []
    shutil.rmtree(root)
    assert kinds(with_root) == ["root_gone"]

"""One `beatsight dev` for each data root, and whoever is refused hears who has it."""

import json
import os
import subprocess
import sys

import psutil
import pytest

from beatsight_core.cli import dev_lock
from beatsight_core.cli.dev_lock import NAME, only_dev
from beatsight_core.errors import StorageError, UsageError

HOLD = """
import sys
from pathlib import Path
from beatsight_core.cli.dev_lock import only_dev
with only_dev(Path(sys.argv[1]), 3456) as lock:
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    print(child.pid, flush=True)
    input()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of a home, and one that it has passed it on to."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        child = psutil.Process(int(process.stdout.readline()))
        yield process, child
        for each in (process, child):
            if each.is_running() if each is child else each.poll() is None:
                each.kill()


def note_of(home):
    return json.loads((home / NAME).read_text())


def rewrite(home, **values):
    (home / NAME).write_text(json.dumps({**note_of(home), **values}).ljust(4096))


def test_a_second_one_hears_who_has_it_and_where(holder, tmp_path):
    process, _ = holder
    with pytest.raises(UsageError) as caught, only_dev(tmp_path, 3000):
        pass
    said = str(caught.value)
    assert f"process {process.pid} on this machine, since 20" in said
    assert f"open http://127.0.0.1:3456, or end it: kill {process.pid}" in said
    assert str(tmp_path.parent) in said


def test_it_is_the_same_root_under_another_name(holder, tmp_path, tmp_path_factory):
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(UsageError, match="has this data root"), only_dev(link, 3000):
        pass


def test_what_a_killed_one_started_is_waited_for(holder, tmp_path, monkeypatch, capsys):
    process, child = holder
    process.kill()
    process.wait()
    monkeypatch.setattr(dev_lock.time, "sleep", lambda seconds: child.kill())  # it ends while the next one waits
    with only_dev(tmp_path, 3000):
        assert note_of(tmp_path)["pid"] == os.getpid()
    assert "was killed. Waiting for what it started to end" in capsys.readouterr().err


def test_what_does_not_end_is_named_after_a_while(holder, tmp_path, monkeypatch):
    process, _ = holder
    process.kill()
    process.wait()
    monkeypatch.setattr(dev_lock, "PATIENCE_S", 0.0)
    with pytest.raises(UsageError, match=rf"process {process.pid} was killed, and what it started has not"):
        only_dev(tmp_path, 3000).__enter__()


@pytest.mark.parametrize("wrong", [{"began": 1.0}, {"pid": 2**22 + 1}, {"pid": "x"}, {"pid": None}])
def test_a_number_that_another_process_got_since_is_not_believed(holder, tmp_path, monkeypatch, wrong):
    rewrite(tmp_path, **wrong)
    monkeypatch.setattr(dev_lock, "PATIENCE_S", 0.0)
    with pytest.raises(UsageError, match="was killed"):
        only_dev(tmp_path, 3000).__enter__()


def test_one_of_another_machine_is_named_at_once(holder, tmp_path):
    rewrite(tmp_path, mark="0badcafe", host="studio")
    with pytest.raises(UsageError, match="on studio, since 20"):
        only_dev(tmp_path, 3000).__enter__()


@pytest.mark.parametrize("note", ["", "{", "[1]", "nonsense \x00" * 500])
def test_a_note_that_cannot_be_read_is_no_traceback(holder, tmp_path, monkeypatch, note):
    (tmp_path / NAME).write_text(note)
    monkeypatch.setattr(dev_lock, "PATIENCE_S", 0.0)
    with pytest.raises(UsageError, match="its note cannot be read"):
        only_dev(tmp_path, 3000).__enter__()


def test_it_is_free_again_afterwards(tmp_path):
    for port in (3000, 3001):
        with only_dev(tmp_path / "new" / "dagster", port):
            assert note_of(tmp_path / "new" / "dagster")["port"] == port


def test_a_home_that_cannot_be_made_is_the_drives_fault(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        only_dev(tmp_path / "file" / "dagster", 3000).__enter__()

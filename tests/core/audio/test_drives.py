import os
import subprocess
import sys

from beatsight_core.audio import drives
from beatsight_core.audio.drives import likes_any_order, turn_to_read

WAITS = """
import sys
from beatsight_core.audio import drives
drives.likes_any_order = lambda root: False
print("waits", flush=True)
with drives.turn_to_read(sys.argv[1]):
    print("reads", flush=True)
"""


def test_processes_take_turns_and_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(drives, "likes_any_order", lambda root: False)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WAITS, str(tmp_path)]
    with turn_to_read(str(tmp_path)):
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert other.stdout.readline() == "waits\n"
        assert other.poll() is None
    assert other.communicate(timeout=30) == ("reads\n", None)
    assert not list(tmp_path.iterdir())


def test_a_root_that_cannot_be_locked_is_read_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(drives, "likes_any_order", lambda root: False)
    with turn_to_read(str(tmp_path / "gone")):
        pass


def test_a_drive_that_nobody_knows_is_read_in_turns():
    assert not likes_any_order("/nowhere")
    assert not likes_any_order("/proc")

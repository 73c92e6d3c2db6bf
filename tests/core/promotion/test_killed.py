"""Promotion killed with -9 before each of its commit steps: the champion is the old one or the new one, whole."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from beatsight_core.files import sha256_file
from beatsight_core.promotion.pointer import read_pointer
from beatsight_core.promotion.registry import champion, promote, rollback
from beatsight_core.settings import load_settings

CHILD = """
import os, pathlib, signal, sys
root, run_id, fatal = sys.argv[1], sys.argv[2], int(sys.argv[3])
steps = 0
def deadly(original):
    def move(self, target):
        global steps
        if pathlib.Path(target).is_relative_to(pathlib.Path(root) / "models") and ".tmp-" not in str(target.parent):
            steps += 1
            if steps == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
        return original(self, target)
    return move
pathlib.Path.replace = deadly(pathlib.Path.replace)
pathlib.Path.rename = deadly(pathlib.Path.rename)
from beatsight_core.promotion.registry import promote
from beatsight_core.settings import load_settings
promote(load_settings(root), run_id, device="cpu")
print(steps)
"""
STEPS = 5
"""The version's folder, the pointer, the weights, the sidecar, the history."""


def run_child(root, run_id, fatal):
    paths = os.pathsep.join(filter(None, [*sys.path[:0], os.environ.get("PYTHONPATH"), os.getcwd()]))  # noqa: PTH109
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(root), run_id, str(fatal)],
        env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def before_second(released):
    """The state just before the second promotion, its gate record written."""
    rollback(released.settings)
    shutil.rmtree(released.settings.models_dir / "versions" / "2")
    pointer = released.settings.models_dir / "champion.json"
    value = json.loads(pointer.read_text())
    pointer.write_text(json.dumps({**value, "history": value["history"][:1]}))
    champion(released.settings)
    return released


def test_a_kill_before_any_commit_step_leaves_a_whole_champion_and_the_next_command_ends_it(before_second, tmp_path):
    for fatal in range(1, STEPS + 1):
        root = tmp_path / f"killed-{fatal}"
        shutil.copytree(before_second.root, root)
        settings, run_id = load_settings(root), before_second.second.run_id
        done = run_child(root, run_id, fatal)
        assert done.returncode == -signal.SIGKILL, done.stderr

        pointed = read_pointer(settings).version
        assert pointed == (1 if fatal <= 2 else 2)
        weights = {sha256_file(path): int(path.parent.name) for path in root.glob("models/versions/[0-9]/model.pth")}
        assert sha256_file(settings.models_dir / "current_drum_classifier.pth") in weights  # never half of anything

        assert champion(settings).version == pointed
        sidecar = json.loads((settings.models_dir / "current_drum_classifier.json").read_text())
        current = sha256_file(settings.models_dir / "current_drum_classifier.pth")
        assert (sidecar["version"], sidecar["sha256"], weights[current]) == (pointed, current, pointed)

        assert promote(settings, run_id, device="cpu").version == 2
        assert sorted(path.name for path in (settings.models_dir / "versions").iterdir()) == ["1", "2"]
        assert len((settings.models_dir / "history.jsonl").read_text().splitlines()) == 2
        assert not list(settings.models_dir.rglob("*.tmp-*"))


def test_the_steps_are_all_there_are(before_second):
    done = run_child(before_second.root, before_second.second.run_id, 0)
    assert done.stdout.split() == [str(STEPS)], done.stderr

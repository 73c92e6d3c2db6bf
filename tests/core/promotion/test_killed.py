"""Promotion, rollback and archive killed with -9 before each of their commit steps.

The champion is the old one or the new one, whole; the weights and their sidecar are always of one version, before any
other command has looked at them.
"""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from beatsight_core.files import sha256_file
from beatsight_core.promotion.archive.check_archive import check_archive
from beatsight_core.promotion.archive.write_archive import archive_run
from beatsight_core.promotion.promote import champion, promote, rollback
from beatsight_core.promotion.version.pointer import read_pointer
from beatsight_core.settings import load_settings

CHILD = """
import atexit, os, pathlib, signal, sys
root, verb, fatal = sys.argv[1], sys.argv[2:-1], int(sys.argv[-1])
steps = 0
def deadly(original):
    def move(self, target):
        global steps
        inside = str(target).removeprefix(root + "/")
        if inside.startswith(("models/", "reports/archive/")) and ".tmp-" not in os.path.dirname(inside):
            steps += 1
            if steps == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
        return original(self, target)
    return move
pathlib.Path.replace = deadly(pathlib.Path.replace)
pathlib.Path.rename = deadly(pathlib.Path.rename)
atexit.register(lambda: print(steps, file=sys.stderr))
from beatsight_core.cli.main import beatsight
beatsight.main(["--data-root", root, *verb], standalone_mode=False)
"""
PROMOTION_STEPS = 5
"""The version's folder, the new pair's folder, the pointer, the link to the pair, the history."""
ROLLBACK_STEPS = 4
"""All of them but the version's folder."""


def run_child(root, verb, fatal):
    paths = os.pathsep.join(filter(None, [*sys.path[:0], os.environ.get("PYTHONPATH"), os.getcwd()]))  # noqa: PTH109
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(root), *verb, str(fatal)],
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


def kill_at(root, tmp_path, verb, fatal):
    """A copy of the data root in which the verb was killed before a step."""
    copy = tmp_path / f"{verb[0]}-{fatal}"
    shutil.copytree(root, copy, symlinks=True)
    done = run_child(copy, verb, fatal)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return load_settings(copy)


def pair_seen(settings):
    """The version of the pair under the names the app loads, which must be one; by the files alone."""
    sidecar = json.loads((settings.models_dir / "current_drum_classifier.json").read_text())
    digest = sha256_file(settings.models_dir / "current_drum_classifier.pth")
    assert sidecar["sha256"] == digest == sha256_file(settings.models_dir / sidecar["folder"] / "model.pth")
    return sidecar["version"]


def steps_of(root, tmp_path, verb):
    copy = tmp_path / f"{verb[0]}-whole"
    shutil.copytree(root, copy, symlinks=True)
    done = run_child(copy, verb, 0)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1])


@pytest.mark.long
def test_a_kill_before_any_commit_step_leaves_a_whole_champion_and_the_next_command_ends_it(before_second, tmp_path):
    run_id = before_second.second.run_id
    verb = ["promote", run_id, "--device", "cpu"]
    for fatal in range(1, PROMOTION_STEPS + 1):
        settings = kill_at(before_second.root, tmp_path, verb, fatal)
        pointed = read_pointer(settings).version
        assert pointed == (1 if fatal <= 3 else 2)
        assert pair_seen(settings) == (1 if fatal <= 4 else 2)

        assert champion(settings).version == pointed
        assert pair_seen(settings) == pointed

        assert promote(settings, run_id, device="cpu").version == 2
        assert pair_seen(settings) == 2
        assert sorted(path.name for path in (settings.models_dir / "versions").iterdir()) == ["1", "2"]
        assert len((settings.models_dir / "history.jsonl").read_text().splitlines()) == 2
        assert not list(settings.models_dir.rglob("*.tmp-*"))
    assert steps_of(before_second.root, tmp_path, verb) == PROMOTION_STEPS


@pytest.mark.long
def test_a_rollback_killed_before_any_step_is_ended_by_the_next_look(released, tmp_path):
    verb = ["rollback", "--why", "it hears ghosts"]
    for fatal in range(1, ROLLBACK_STEPS + 1):
        settings = kill_at(released.root, tmp_path, verb, fatal)
        pointed = read_pointer(settings).version
        assert pointed == (2 if fatal <= 2 else 1)
        assert pair_seen(settings) == (2 if fatal <= 3 else 1)
        assert champion(settings).version == pair_seen(settings) == pointed
        lines = (settings.models_dir / "history.jsonl").read_text().splitlines()
        assert len(lines) == (2 if fatal <= 2 else 3)
        assert json.loads(lines[-1])["why"] == ("it hears ghosts" if fatal > 2 else "met every criterion")
        assert not list(settings.models_dir.rglob("*.tmp-*"))
    assert steps_of(released.root, tmp_path, verb) == ROLLBACK_STEPS


def test_an_archive_killed_before_its_one_step_leaves_none_and_the_next_is_whole(released, tmp_path):
    assert steps_of(released.root, tmp_path, ["archive"]) == 1
    settings = kill_at(released.root, tmp_path, ["archive"], 1)
    assert all(".tmp-" in path.name for path in settings.archive_dir.glob("*/*"))
    result = archive_run(settings)
    assert check_archive(result.folder).whole
    assert not list(settings.archive_dir.rglob("*.tmp-*"))

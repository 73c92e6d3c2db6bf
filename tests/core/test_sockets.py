"""Sockets and temporary files where TMPDIR is long, gone, read-only or full."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from beatsight_core import sockets
from beatsight_core.errors import StorageError
from beatsight_core.sockets import LONGEST, ROOM, socket_environment, socket_folder, temporary_folder
from tests.faults.drives import may_mount, small_drive

POOL = """
import operator, os, sys
from beatsight_core.workers import WorkerPool
with WorkerPool(operator.neg, 2) as pool:
    assert sorted(pool.map([1, 2, 3])) == [-3, -2, -1]
from multiprocessing import process
print(process.current_process()._config["tempdir"])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Sets TMPDIR to a folder, as if this process had begun with it."""

    def choose(path: Path) -> Path:
        monkeypatch.setenv("TMPDIR", str(path))
        monkeypatch.setattr(tempfile, "tempdir", None)
        return path

    return choose


def long_folder(base: Path) -> Path:
    path = base / ("t" * 60) / ("u" * 60)
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize("name", ["short", "t" * 60 + "/" + "u" * 60, "ü" * 40, "x" * (LONGEST - ROOM)])
def test_a_pool_works_wherever_temporary_files_lie_and_leaves_no_socket(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", POOL], env={**os.environ, "TMPDIR": str(folder)}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    used = Path(done.stdout.strip())
    assert len(os.fsencode(used)) < LONGEST - len("/listener-12345678")
    assert not used.exists()


def test_sockets_go_elsewhere_only_where_they_must(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sockets, "_SHORT", (str(tmp_path.parents[-2]),))  # as /tmp
    assert socket_folder() == temporary_folder() or len(str(tmp_path)) > LONGEST - ROOM
    usual = folder(long_folder(tmp_path))
    assert temporary_folder() == usual
    assert socket_environment() == {"TMPDIR": str(socket_folder())}
    assert len(str(socket_folder())) < LONGEST - ROOM
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/dev/shm")
    assert socket_folder() == Path("/dev/shm")
    assert not multiprocessing.process.current_process()._config.get("tempdir", "").startswith(str(usual))


def test_where_no_folder_is_short_enough_tmpdir_is_named(folder, tmp_path, monkeypatch):
    usual = folder(long_folder(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(sockets, "_SHORT", ("/nowhere",))
    with pytest.raises(StorageError) as caught:
        socket_folder()
    assert f"TMPDIR={usual}" in str(caught.value)
    assert "short name" in str(caught.value)


def beatsight(*words, **environment):
    command = [sys.executable, "-c", "from beatsight_core.cli.main import main; main()", *map(str, words)]
    env = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_a_folder_for_temporary_files_that_is_full_is_named(trained, tmp_path):
    if not may_mount():
        pytest.skip("needs a right to mount")
    settings, _ = trained
    with small_drive(tmp_path / "small", 1 << 16) as drive:
        done = beatsight("verify", "tiny.jsonl", "--data-root", settings.data_root, TMPDIR=drive)
    assert done.returncode == 4, done.stderr
    assert str(drive) in done.stderr
    assert "point TMPDIR at a larger drive" in done.stderr
    assert "BEATSIGHT_DATA_ROOT" not in done.stderr


def test_no_folder_for_temporary_files_at_all_is_said(trained, tmp_path):
    settings, _ = trained
    code = """
import sys, tempfile
tempfile._candidate_tempdir_list = lambda: ["/nowhere/at/all"]
from beatsight_core.cli.main import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "verify", "tiny.jsonl", "--data-root", str(settings.data_root)],
        env={**os.environ, "TMPDIR": "/nowhere/at/all"}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "no folder for temporary files. Where: TMPDIR=/nowhere/at/all" in done.stderr


def test_an_export_with_workers_and_a_long_tmpdir_works(make_corpus, data_root, tmp_path):
    (data_root / "beatsight.toml").write_text("[dataset]\nsample_rate_hz = 8000\n[features]\nf_max_hz = 4000.0\n")
    make_corpus(data_root, sessions=4, hits=4)
    folder = long_folder(tmp_path)
    done = beatsight("export", "tiny.jsonl", "--workers", "2", "--data-root", data_root, TMPDIR=folder)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    shutil.rmtree(folder)
    done = beatsight("export", "tiny.jsonl", "--overwrite", "--workers", "2", "--data-root", data_root, TMPDIR=folder)
    assert done.returncode == 0, done.stderr  # Python takes another folder then; `doctor` tells

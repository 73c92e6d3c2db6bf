import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatsight_core import files
from beatsight_core.errors import DatasetError, StorageError


def test_atomic_write_leaves_nothing_beside(tmp_path):
    path = tmp_path / "deep" / "a.json"
    files.write_json(path, {"b": 1, "a": [1, 2]})
    assert files.read_json(path) == {"a": [1, 2], "b": 1}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_failed_write_keeps_the_old_content(tmp_path):
    path = tmp_path / "a"
    files.write_text(path, "old")

    def write_half():
        with files.atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_drive_is_a_storage_error_and_keeps_the_old_content(tmp_path):
    """RLIMIT_FSIZE refuses the write in a process of its own, as a full drive would."""
    path = tmp_path / "a"
    files.write_text(path, "old")
    code = f"""
import resource, signal, sys
from pathlib import Path
from beatsight_core import files
from beatsight_core.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write_bytes(Path({str(path)!r}), b"x" * 5000)
except StorageError as error:
    sys.exit(error.exit_code)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 4
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_through_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="folder is needed"):
        files.write_text(tmp_path / "file" / "below", "x")


def test_broken_and_missing_json_say_so(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(DatasetError, match="missing"):
        files.read_json(tmp_path / "b.json")


def test_put_if_absent_writes_once(tmp_path):
    path = tmp_path / "aa" / "digest"
    assert files.put_if_absent(path, lambda temporary: temporary.write_text("1") and None)
    assert not files.put_if_absent(path, lambda temporary: temporary.write_text("2") and None)
    assert path.read_text() == "1"


@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_digests_tell_how_bytes_were_parted(first, second):
    assert (files.digest_bytes(*first) == files.digest_bytes(*second)) == (first == second)


@given(st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53), max_size=5))
def test_digest_of_json_ignores_the_order_of_keys(table):
    assert files.digest_json(table) == files.digest_json(dict(reversed(list(table.items()))))


def test_sha256_is_that_of_sha256sum(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _hold(path, entered, release):
    with files.exclusive_lock(path):
        entered.set()
        release.wait(30)


def test_a_lock_keeps_others_out_and_dies_with_its_owner(tmp_path):
    context = multiprocessing.get_context("spawn")
    entered, release = context.Event(), context.Event()
    owner = context.Process(target=_hold, args=(tmp_path / "lock", entered, release))
    owner.start()
    assert entered.wait(60)
    os.kill(owner.pid, 9)
    owner.join(30)
    began = time.monotonic()
    with files.exclusive_lock(tmp_path / "lock"):
        assert time.monotonic() - began < 30


def test_a_wait_for_a_lock_names_who_holds_it_and_ends_in_time(tmp_path, caplog):
    caplog.set_level("INFO", "beatsight")
    with (
        files.exclusive_lock(tmp_path / "lock"),
        pytest.raises(TimeoutError),
        files.exclusive_lock(tmp_path / "lock", "run a", timeout_s=0.2),
    ):
        pass
    assert f"waiting for run a: process {os.getpid()} is at it" in caplog.text
    with files.exclusive_lock(tmp_path / "lock", "run a", timeout_s=0.0):
        pass


def test_a_path_that_is_not_utf8_is_written_as_an_escape(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": Path("no\udcff"), "a": np.float32(0.5), "c": {"y", "x"}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 0.5, "b": "no\udcff", "c": ["x", "y"]}
    with pytest.raises(TypeError):
        files.json_bytes({"no\udcff": object()})


def test_a_lock_is_not_taken_through_a_link_into_somebodys_file(tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("mine, and longer than a process id")
    (tmp_path / "lock").symlink_to(notes)
    with pytest.raises(StorageError), files.exclusive_lock(tmp_path / "lock"):
        pass
    assert notes.read_text() == "mine, and longer than a process id"


def test_a_name_as_long_as_names_may_be_is_written_too(tmp_path):
    for name in ("x" * 255, "é" * 127, "録" * 85):
        files.write_text(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"
        with files.atomic_folder(tmp_path / "folders" / name) as folder:
            (folder / "part").write_text("1")
    assert len(list(tmp_path.iterdir())) == 4
    with pytest.raises(StorageError), files.atomic_folder(tmp_path / "folders" / ("x" * 255), replace=True):
        pass  # nobody could tell afterwards whose place the old one is to take
    assert (tmp_path / "folders" / ("x" * 255) / "part").exists()


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_never_ends_is_refused_instead_of_waited_for(tmp_path, kind):
    path = tmp_path / "a.json"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for read in (files.plain_file, files.read_json):
        with pytest.raises(DatasetError, match="where a file is needed") as caught:
            read(path)
        assert caught.value.where == str(path)
    assert files.plain_file(tmp_path / "nothing") == tmp_path / "nothing"

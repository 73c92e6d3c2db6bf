import multiprocessing
import os
import subprocess
import sys
import time

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


def test_leftovers_of_dead_writers_go_and_those_of_the_living_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f"a.parquet.tmp-{files.host_mark()}-{dead.pid}-12345678").write_text("half")
    alive = files.temporary_path(tmp_path / "b.parquet")
    alive.write_text("half")
    assert files.remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [alive]


def test_what_another_machine_writes_is_left_alone_until_it_is_a_day_old(tmp_path):
    """Its process ids mean nothing here: 999999999 is nobody, and may be at work there."""
    young, old = tmp_path / "a.tmp-00000000-999999999-12345678", tmp_path / "b.tmp-00000000-999999999-12345678"
    young.write_text("half")
    old.mkdir()
    (old / "part").write_text("half")
    yesterday = time.time() - files.FOREIGN_SECONDS - 60
    os.utime(old, (yesterday, yesterday))
    assert files.remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [young]


def test_names_that_only_look_temporary_stay(tmp_path):
    for name in ("a.tmp-notes", "b.tmp-12345678", "c.tmp-00000000-x-1"):
        (tmp_path / name).write_text("mine")
    assert files.remove_leftovers(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 3

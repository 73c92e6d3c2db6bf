import errno
import subprocess
import sys
from pathlib import Path

import pytest

from beatsight_core.errors import StorageError
from beatsight_core.files import atomic_folder
from beatsight_core.leftovers import remove_leftovers


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "one").write_text("1")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "deep" / "one").read_text() == "1"
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "b") as folder:  # noqa: PT012
        (folder / "half").write_text("1")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_of_two_writers_the_first_stays(tmp_path):
    with atomic_folder(tmp_path / "a") as slow:
        (slow / "who").write_text("slow")
        with atomic_folder(tmp_path / "a") as quick:
            (quick / "who").write_text("quick")
    assert (tmp_path / "a" / "who").read_text() == "quick"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError), atomic_folder(tmp_path / "file" / "a"):
        pass


def replace_folder(path, text):
    with atomic_folder(path, replace=True) as folder:
        (folder / "who").write_text(text)


def test_a_folder_is_replaced_whole(tmp_path):
    for text in ("old", "new"):
        replace_folder(tmp_path / "a", text)
    assert (tmp_path / "a" / "who").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_if_the_new_folder_cannot_come_the_old_one_is_put_back(tmp_path, monkeypatch):
    replace_folder(tmp_path / "a", "old")
    rename = Path.rename

    def refuse_the_new_one(path, target):
        if Path(target) == tmp_path / "a" and (path / "who").read_text() == "new":
            raise OSError(errno.EIO, "the drive failed")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(StorageError):
        replace_folder(tmp_path / "a", "new")
    assert (tmp_path / "a" / "who").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_writer_killed_in_the_exchange_loses_nothing_for_ever(tmp_path):
    replace_folder(tmp_path / "a", "old")
    code = f"""
import os, pathlib
from beatsight_core.files import atomic_folder
place, rename = pathlib.Path({str(tmp_path / "a")!r}), pathlib.Path.rename
pathlib.Path.rename = lambda path, target: os._exit(9) if pathlib.Path(target) == place else rename(path, target)
with atomic_folder(place, replace=True) as folder:
    (folder / "who").write_text("new")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert not (tmp_path / "a").exists()
    assert remove_leftovers(tmp_path) == 1  # the new one; the old one is back
    assert (tmp_path / "a" / "who").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]

"""Temporary names: what they are, what of killed writers goes, and that nothing else ever does."""

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatsight_core.files import atomic_folder, atomic_path
from beatsight_core.leftovers import (
    FOREIGN_SECONDS,
    find_leftovers,
    host_mark,
    is_temporary,
    looks_temporary,
    never,
    remove_leftovers,
    retired_path,
    temporary_path,
)
from beatsight_core.names import file_name


@pytest.fixture(scope="module")
def dead() -> int:
    """A process that ran here and runs no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def of_process(path, process):
    """A temporary path as another process would have named it."""
    temporary = temporary_path(path)
    return temporary.with_name(temporary.name.replace(f"-{os.getpid()}-", f"-{process}-"))


def age(path):
    yesterday = time.time() - FOREIGN_SECONDS - 60
    os.utime(path, (yesterday, yesterday), follow_symlinks=False)


def test_leftovers_of_dead_writers_go_and_those_of_the_living_stay(tmp_path, dead):
    of_process(tmp_path / "a.parquet", dead).write_text("half")
    alive = temporary_path(tmp_path / "b.parquet")
    alive.write_text("half")
    assert remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [alive]


def test_what_another_machine_writes_is_left_alone_until_it_is_a_day_old(tmp_path):
    """Its process ids mean nothing here: 999999999 is nobody, and may be at work there."""
    young, old = tmp_path / ".a.tmp-00000000-999999999-12345678", tmp_path / ".b.tmp-00000000-999999999-12345678"
    young.write_text("half")
    old.mkdir()
    (old / "part").write_text("half")
    age(old)
    assert remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [young]


NAMED_BY_PEOPLE = (
    "a.tmp-notes", "b.tmp-12345678", "c.tmp-00000000-x-1", "events.tmp-run-20251109", "events.tmp-run-20251109.jsonl",
    "kit.tmp-1-2.json", "kit.tmp-00000000-1-00000000.json", "my.tmp-00000000-1-0000000g", ".tmp-00000000-1-00000000",
    "x.tmp-0000000-1-00000000", "x.tmp-00000000--00000000", "x.tmp-00000000-1-00000000-older", ".notes.tmp-1-2-3",
    "x.TMP-00000000-1-00000000", "x.tmp-00000000-1-00000000\n", "x.tmp-00000000-\u0661-00000000",
)  # fmt: skip


def test_what_a_name_merely_contains_deletes_nothing(tmp_path):
    for name in NAMED_BY_PEOPLE:
        (tmp_path / name).write_text("mine")
        age(tmp_path / name)
    assert find_leftovers(tmp_path) == []
    assert remove_leftovers(tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == set(NAMED_BY_PEOPLE)
    assert not any(is_temporary(tmp_path / name) for name in NAMED_BY_PEOPLE)


def test_leftovers_of_earlier_versions_go_where_they_can_be_nothing_else(tmp_path, dead):
    file, folder = (tmp_path / f"{name}.tmp-{host_mark()}-{dead}-12345678" for name in ("a.parquet", "events-0a1b2c3d"))
    file.write_text("half")
    folder.mkdir()
    assert is_temporary(file)
    assert not is_temporary(folder)  # it may be somebody's work
    assert remove_leftovers(tmp_path) == 1
    assert remove_leftovers(tmp_path, lambda path: path == folder) == 0
    assert list(tmp_path.iterdir()) == [folder]
    assert is_temporary(folder, never)
    assert remove_leftovers(tmp_path, never) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dot", [".", ""])  # as now, and as in earlier versions
def test_a_folder_that_was_put_aside_is_put_back_unless_its_place_is_taken(tmp_path, dead, dot):
    retired = tmp_path / f"{dot}events-0a1b2c3d.tmp-{host_mark()}-{dead}-12345678-old"
    retired.mkdir()
    (retired / "part").write_text("whole")
    assert remove_leftovers(tmp_path, never) == 0
    assert (tmp_path / "events-0a1b2c3d" / "part").read_text() == "whole"
    (tmp_path / "events-0a1b2c3d" / "part").write_text("newer")
    retired.mkdir()
    assert remove_leftovers(tmp_path, never) == 1
    assert (tmp_path / "events-0a1b2c3d" / "part").read_text() == "newer"


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path, dead):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "take.wav").write_text("sound")
    of_process(tmp_path / "link", dead).symlink_to(mine)
    assert remove_leftovers(tmp_path) == 1
    assert (mine / "take.wav").exists()


@given(st.text(max_size=60))
def test_no_text_becomes_a_temporary_name(text):
    name = file_name(text)
    assert not looks_temporary(name)
    assert not name.startswith(".")


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=300))
def test_every_temporary_name_is_known_as_one_and_fits(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / text
    temporary = temporary_path(path)
    assert is_temporary(temporary)
    assert is_temporary(retired_path(temporary))
    assert len(os.fsencode(retired_path(temporary).name)) <= 255
    assert temporary.parent == path.parent


def test_what_is_being_written_is_hidden_and_has_no_ending_that_a_reader_looks_for(tmp_path):
    with atomic_path(tmp_path / "index.json") as temporary, atomic_folder(tmp_path / "catalog") as folder:
        temporary.write_text("{}")
        assert {path.name[0] for path in (temporary, folder)} == {"."}
        assert list(tmp_path.glob("*.json")) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalog", "index.json"]

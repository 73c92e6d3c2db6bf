import errno
import inspect
import os
import pickle
import re
from pathlib import Path

import polars
import pytest

from beatsight_core import errors
from beatsight_core.files import storage_errors


def kinds():
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.BeatSightError) and kind.__module__ == errors.__name__
    ]


def test_every_error_is_drawn_in_the_tree_with_its_exit_code():
    for kind in kinds():
        line = next(text for text in errors.__doc__.splitlines() if f" {kind.__name__} " in f" {text.strip('│├└─ ')} ")
        assert str(kind.exit_code) in line.split()


def test_error_is_one_paragraph_of_what_where_why_and_what_to_do():
    error = errors.ManifestError("No valid event", where="a.jsonl", why="all 3 lines were rejected", do="look at them")
    assert str(error) == (
        "No valid event. Where: a.jsonl. Why: all 3 lines were rejected. What to do: look at them."
    )  # fmt: skip


@pytest.mark.parametrize("kind", kinds())
def test_errors_cross_process_borders_whole(kind):
    error = pickle.loads(pickle.dumps(kind("what", where="where", why="why", do="do")))
    assert (type(error), error.what, error.where, error.why, error.do) == (kind, "what", "where", "why", "do")


@pytest.mark.parametrize(("code", "word"), [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EIO, "drive")])
def test_errors_of_the_drive_say_what_they_mean(code, word):
    error = errors.StorageError.from_os_error(OSError(code, "said the system"), "/a/b")
    assert word in str(error)
    assert "/a/b" in str(error)
    assert error.exit_code == 4


@pytest.mark.parametrize(
    ("code", "word"), [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EACCES, "denied")]
)
def test_errors_that_say_their_number_in_words_alone_are_known_too(code, word):
    """As Polars raises them."""
    said = OSError(f"{os.strerror(code)} (os error {code}): /a/.b.tmp")
    error = errors.StorageError.from_os_error(said, "/a/b")
    assert (word in error.what, error.number, error.why) == (True, code, os.strerror(code))
    assert error.is_read_only == (code != errno.ENOSPC)


def test_an_error_of_the_drive_is_one_whatever_class_a_library_gives_it(tmp_path):
    said = "parquet: File out of specification: underlying IO error: File too large (os error 27)"
    with pytest.raises(errors.StorageError, match="file size") as caught, storage_errors(tmp_path):
        raise polars.exceptions.ComputeError(said)
    assert caught.value.where == str(tmp_path)
    with pytest.raises(errors.ModelError), storage_errors(tmp_path):  # told already
        raise errors.ModelError("x", why=said)
    with pytest.raises(polars.exceptions.ComputeError), storage_errors(tmp_path):
        raise polars.exceptions.ComputeError("a column is missing")


def test_what_polars_raises_is_such_an_error(tmp_path):
    with pytest.raises(OSError, match="os error") as caught:
        polars.DataFrame({"a": [1]}).write_parquet(tmp_path / "none" / "a.parquet")
    assert errors.system_number(caught.value) == errno.ENOENT


def test_the_table_of_exit_codes_has_them_all():
    table = (Path(__file__).parents[2] / "docs" / "formats.md").read_text().partition("## Exit codes")[2]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert listed == {0, 130, *(kind.exit_code for kind in kinds())}

import errno
import inspect
import pickle

import pytest

from beatsight_core import errors


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

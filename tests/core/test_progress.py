import logging
import types

import pytest

from beatsight_core import progress
from beatsight_core.progress import Progress, RichProgress, SilentProgress


def test_log_lines_tell_amount_rate_and_numbers(caplog, monkeypatch):
    monkeypatch.setattr(progress, "LOG_INTERVAL_S", 0.0)
    with caplog.at_level(logging.INFO, "beatsight"), Progress().task("export", 200, "clips") as task:
        task.advance(50, megabytes=1.5)
    first, last = caplog.messages
    assert first.startswith("export: 50 of 200 clips, ")
    assert " left" in first
    assert "megabytes 1.5" in first
    assert "export: 50 of 200 clips" in last


def test_parts_are_logged_heard_and_shown(caplog, capsys):
    heard = {}
    for view in (Progress, RichProgress):
        with caplog.at_level(logging.INFO, "beatsight"):
            progress = view(lambda name, numbers: heard.update({name: numbers}))
            with progress.task("export", 20, "hits") as task:
                task.breakdown({"slakh": {"clips": 12.0, "val s": 3.36}, "groove": {"clips": 8.0, "past_end": 1.0}})
                task.advance(20, **{"MB/s": 31.4})
        assert heard.pop("export") == {
            "done": 20, "total": 20, "MB/s": 31.4,
            "slakh: clips": 12, "slakh: val s": 3.36, "groove: clips": 8, "groove: past_end": 1,
        }  # fmt: skip
    assert "export, slakh: clips 12  val s 3.36" in caplog.messages
    shown = capsys.readouterr().err
    for text in ("export", "slakh", "groove", "past_end", "3.36", "MB/s 31.4"):
        assert text in shown


def test_a_listener_hears_the_last_numbers_even_in_silence():
    heard = []
    with SilentProgress(lambda name, numbers: heard.append((name, numbers))).task("mel") as task:
        task.set_total(3)
        task.advance(3, clips=7)
    assert heard == [("mel", {"done": 3.0, "total": 3, "clips": 7})]


def test_the_live_view_runs_without_a_terminal(capsys):
    with RichProgress().task("decode", 2, "files") as task:
        task.advance(1, megabytes=2.0)
        task.set_total(4)
        task.advance(1)
    assert "decode" in capsys.readouterr().err


@pytest.mark.parametrize("view", [Progress, RichProgress])
def test_what_an_earlier_sitting_did_is_done_and_no_part_of_the_rate(view, caplog, monkeypatch):
    heard = []
    monkeypatch.setattr(progress, "LOG_INTERVAL_S", 0.0)
    clock = iter(range(0, 1000, 10))
    if view is Progress:
        monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    shown = view(lambda name, numbers: heard.append(numbers["done"]))
    with caplog.at_level(logging.INFO, "beatsight"), shown.task("train", 1000, "clips") as task:
        task.skip(900)
        task.advance(50)
    assert heard[0] == 950
    if view is Progress:
        assert caplog.messages[0].startswith("train: 950 of 1,000 clips, ")
        rate = float(caplog.messages[0].split(", ")[1].removesuffix("/s"))
        assert rate <= 5

"""The bar of a graph in a terminal, and the lines without one."""

import os
import re
import sys

import pytest

from beatsight_dagster.terminal.graph_bar import lines_with_bar

LINES = (
    "▸ dataset", "    export: 3 of 9 files, 1/s, 6 s left", "✓ dataset, 4.0 s", "    features: 9 of 9 clips, 0.1 s",
)  # fmt: skip


def test_a_terminal_has_a_bar_with_the_step_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(writer, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with lines_with_bar(2) as say:
            for line in LINES:
                say(line)
        terminal.flush()
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(reader, 1 << 16).decode())
        monkeypatch.undo()
    os.close(reader)
    assert "1/2" in shown
    assert "✓ dataset, 4.0 s" in shown
    assert "features: 9 of 9 clips" in shown


def test_elsewhere_every_line_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with lines_with_bar(2) as say:
        for line in LINES:
            say(line)
    assert capsys.readouterr().err.splitlines() == list(LINES)

"""Tables that spreadsheets open: no name in them is a formula, and numbers stay numbers."""

import csv
import io

import numpy as np

from beatsight_core.inference.answers import Answers
from beatsight_core.inference.classification import Classification
from beatsight_core.promotion.archive.archive_sources import history_csv

HOSTILE = ("=cmd|' /C calc'!A0", "+1+1", "@SUM(A1)", "-2+3", "\t=1")


def test_the_history_of_a_run():
    text = history_csv(
        [{"epoch": 1, "loss": -0.5, "f1": dict.fromkeys(HOSTILE, 0.25), "@note": HOSTILE[0]}, {"epoch": 2}]
    )
    head, first, second = csv.reader(io.StringIO(text))
    assert head == ["epoch", "loss", *(f"f1.{name}" for name in HOSTILE), "'@note"]
    assert first[:3] == ["1", "-0.5", "0.25"]
    assert first[-1] == f"'{HOSTILE[0]}"
    assert second == ["2", *[""] * (len(head) - 1)]


def test_what_was_heard_in_a_recording():
    shares = np.full((1, len(HOSTILE)), 0.75, np.float32)
    answers = Answers(HOSTILE, np.full(len(HOSTILE), 0.5, np.float32), shares)
    heard = Classification("a.wav", "m", "given", np.array([-0.25]), answers, np.array([64]))
    head, row = csv.reader(io.StringIO(heard.to_csv()))
    assert head[3:] == [f"'{name}" for name in HOSTILE]
    assert (row[0], row[2], row[3]) == ("-0.250000", "64", "0.750000")
    assert row[1].startswith("'=cmd")

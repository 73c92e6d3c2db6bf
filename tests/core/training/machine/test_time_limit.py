"""What an attempt still has time for."""

import dataclasses
import time

import pytest

from beatsight_core.errors import TimeLimitError
from beatsight_core.training import checkpoint
from beatsight_core.training.fit import fit
from beatsight_core.training.machine.time_limit import MARGIN, TimeLimit


def test_what_comes_next_must_fit_with_a_margin():
    limit = TimeLimit(100.0, reserve_s=10.0)
    assert limit.fits(step=1e9)  # never seen
    limit.took("step", 8.0, units=4)
    limit.took("step", 4.0, units=4)
    limit.took("save", 5.0)
    assert limit.fits(step=19, save=1)
    assert not limit.fits(step=21, save=1)
    assert not limit.fits(save=90.0 / 5.0 / MARGIN)
    assert TimeLimit().fits(step=1e9)
    assert not TimeLimit()


def test_the_first_step_of_a_limited_attempt_shows_what_a_checkpoint_costs(attempt):
    limit = TimeLimit(3600.0)
    fit(dataclasses.replace(attempt("limited"), limit=limit))
    assert limit.knows("save")
    assert limit.knows("judge")


def test_a_limit_that_is_over_before_the_first_step_is_said(attempt):
    limit = TimeLimit(1.0, reserve_s=0.0)
    limit._began = time.monotonic() - 2.0
    with pytest.raises(TimeLimitError, match="before a step could be taken") as caught:
        fit(dataclasses.replace(attempt("late"), limit=limit))
    assert "give it well over 2 s" in str(caught.value)
    assert checkpoint.load_newest(attempt("late").checkpoints) is None

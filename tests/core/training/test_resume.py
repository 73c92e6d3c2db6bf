import dataclasses
import os
import signal

import pytest
import torch

from beatsight_core.errors import ModelError, TimeLimitError
from beatsight_core.runs import records
from beatsight_core.training import checkpoint
from beatsight_core.training.fit import fit
from beatsight_core.training.machine.time_limit import TimeLimit

TIMINGS = ("seconds", "train_seconds", "clips_per_second", "clips", "data_wait_seconds", "cpu_share", "memory_bytes")


class KilledError(Exception):
    """Stands for kill -9: nothing is saved on the way out."""


def kill_at(step):
    def callback(steps):
        if steps == step:
            raise KilledError

    return callback


def terminate_at(step):
    def callback(steps):
        if steps == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return callback


def without_timings(history):
    return [{name: value for name, value in record.items() if name not in TIMINGS} for record in history]


def comparable(state):
    """A checkpoint without what a clock said."""
    return {**state, "history": without_timings(state["history"])}


def assert_same(mine, other):
    """Equal bit for bit, however nested."""
    assert type(mine) is type(other)
    if isinstance(mine, torch.Tensor):
        assert torch.equal(mine, other)
    elif isinstance(mine, dict):
        assert mine.keys() == other.keys()
        for key in mine:
            assert_same(mine[key], other[key])
    elif isinstance(mine, list):
        assert len(mine) == len(other)
        for left, right in zip(mine, other, strict=True):
            assert_same(left, right)
    else:
        assert mine == other


@pytest.mark.parametrize(
    "changes",
    [{}, {"schedule": "plateau", "plateau_patience": 1, "ema_decay": 0.9}, {"checkpoint_epochs": 2}],
    ids=["cosine", "plateau with average", "sparse checkpoints"],
)
@pytest.mark.parametrize("step", [1, 3, 4, 8])
def test_a_terminated_run_ends_in_the_same_weights(attempt, last_state, changes, step):
    whole = attempt("whole", **changes)
    expected = fit(whole)
    with pytest.raises(KeyboardInterrupt):
        fit(attempt("stopped", terminate_at(step), **changes))
    again = attempt("stopped", **changes)
    assert last_state(again)["progress"]["step"] == step
    got = fit(again)
    assert_same(comparable(last_state(again)), comparable(last_state(whole)))
    assert got["metrics"] == expected["metrics"]
    assert without_timings(records.read_history(again.folder)) == without_timings(records.read_history(whole.folder))


@pytest.mark.parametrize("step", [2, 5, 9])
def test_a_killed_run_repeats_at_most_one_interval(attempt, last_state, step):
    whole = attempt("whole")
    fit(whole)
    with pytest.raises(KilledError):
        fit(attempt("killed", kill_at(step)))
    repeated = []
    again = attempt("killed", repeated.append)
    fit(again)
    assert_same(comparable(last_state(again)), comparable(last_state(whole)))
    assert len(repeated) <= 9 - (step - 1) // 3 * 3


def test_defect_8_the_learning_rate_goes_on_as_if_never_stopped(attempt):
    whole = attempt("whole", epochs=5)
    fit(whole)
    for step in (4, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            fit(attempt("stopped", terminate_at(step), epochs=5))
    fit(attempt("stopped", epochs=5))
    curve = [record["lr"] for record in records.read_history(whole.folder)]
    assert [record["lr"] for record in records.read_history(whole.folder.parent / "stopped")] == curve
    assert curve[2:] == sorted(curve[2:], reverse=True)
    assert curve[-1] == pytest.approx(whole.config.min_lr)


def test_a_broken_newest_checkpoint_falls_back_to_the_last_good_one(attempt, last_state):
    whole = attempt("whole")
    fit(whole)
    with pytest.raises(KeyboardInterrupt):
        fit(attempt("stopped", terminate_at(8)))
    again = attempt("stopped")
    newest = checkpoint.last_checkpoints(again.checkpoints)[0][1]
    newest.write_bytes(newest.read_bytes()[:-100])
    fit(again)
    assert_same(comparable(last_state(again)), comparable(last_state(whole)))


def test_the_checkpoint_of_another_run_is_refused(attempt):
    fit(attempt("one"))
    with pytest.raises(ModelError, match="of another run") as caught:
        fit(attempt("one", lr=2e-3))
    assert "config.lr (0.003 there, 0.002 here)" in str(caught.value)


@pytest.mark.parametrize("spoilt", ["best", "history", "both"])
def test_a_checkpoint_alone_is_enough_to_go_on(attempt, last_state, spoilt):
    whole = attempt("whole")
    fit(whole)
    with pytest.raises(KeyboardInterrupt):
        fit(attempt("stopped", terminate_at(8)))
    again = attempt("stopped")
    if spoilt != "history":
        (again.checkpoints / "best.pt").write_bytes(b"rotten")
    if spoilt != "best":
        (again.folder / records.HISTORY).write_bytes(b'{"epoch": 1, "st\xff')
    fit(again)
    assert_same(comparable(last_state(again)), comparable(last_state(whole)))
    assert_same(
        checkpoint.load(again.checkpoints / "best.pt")["model"], checkpoint.load(whole.checkpoints / "best.pt")["model"]
    )
    assert without_timings(records.read_history(again.folder)) == without_timings(records.read_history(whole.folder))


def test_a_checkpoint_of_an_earlier_version_is_refused(attempt, last_state):
    with pytest.raises(KeyboardInterrupt):
        fit(attempt("old", terminate_at(2)))
    old = attempt("old")
    state = {name: value for name, value in last_state(old).items() if name not in ("kept", "history")}
    checkpoint.save_checkpoint(old.checkpoints, state, 0, 2)
    with pytest.raises(ModelError, match="not complete") as caught:
        fit(attempt("old"))
    assert "history, kept are not in it" in str(caught.value)


def test_random_state_outside_is_left_alone(attempt):
    torch.manual_seed(5)
    before, handler = torch.get_rng_state(), signal.getsignal(signal.SIGTERM)
    fit(attempt("whole", epochs=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert signal.getsignal(signal.SIGTERM) is handler


class SpentAfter(TimeLimit):
    """A limit that leaves plenty of time until so many steps and checkpoints were seen, and then none."""

    def __init__(self, **seen):
        super().__init__(3600.0, reserve_s=0.0)
        self.seen = seen

    def took(self, what, seconds, units=1.0):
        super().took(what, seconds, units)
        if what in self.seen:
            self.seen[what] -= 1

    @property
    def left(self):
        return 3600.0 if all(number > 0 for number in self.seen.values()) else 0.0


def attempts_until_done(attempt, limits):
    ended = []
    for limit in limits:
        one = dataclasses.replace(attempt("limited"), limit=limit)
        try:
            fit(one)
        except TimeLimitError as error:
            ended.append(str(error))
            continue
        return one, ended
    raise AssertionError("never done")


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_a_run_in_several_attempts_ends_in_the_same_weights(attempt, last_state, steps):
    whole = attempt("whole")
    fit(whole)
    limited, ended = attempts_until_done(attempt, [SpentAfter(step=steps) for _ in range(20)])
    assert len(ended) >= 2
    assert all("run the same command again" in said for said in ended)
    assert "step" in ended[0]
    assert_same(comparable(last_state(limited)), comparable(last_state(whole)))
    assert (limited.folder / records.METRICS).exists()

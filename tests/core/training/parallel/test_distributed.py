"""Several real processes on the CPU, talking by gloo as those with a GPU each talk by NCCL."""

import contextlib
import functools
import os
import signal
import subprocess
import sys

import psutil
import pytest
import torch
import torch._dynamo

from beatsight_core.errors import DeviceError, SettingsError, TrainingError
from beatsight_core.progress import SilentProgress
from beatsight_core.runs import records
from beatsight_core.runs.records import open_run
from beatsight_core.training import checkpoint
from beatsight_core.training.net.build_net import build_model
from beatsight_core.training.net.drum_net import DrumNet
from beatsight_core.training.parallel.distributed import process_count, share_run
from beatsight_core.training.parallel.whole_batch_norm import normalise_whole_batches
from beatsight_core.training.run import RunOptions, train
from tests.core.training.test_resume import assert_same, comparable

FAST = {"epochs": 2, "lr": 5e-3, "batch": 16, "accumulation": 1, "augment_mask_probability": 0.0}
STILL = {
    "dropout": 0.0, "augment_shift_frames": 0, "augment_eq_db": 0.0, "augment_noise_probability": 0.0,
    "augment_mix_probability": 0.0, "augment_neighbour_probability": 0.0, "amp": "off",
}  # fmt: skip
ROWS, SHAPE, CLASSES = 13, (16, 9), 5


class When(SilentProgress):
    """Calls back once, when so many clips are done."""

    def __init__(self, clips, callback):
        super().__init__()
        self.clips, self.callback, self.calls, self.done = clips, callback, 0, 0.0

    @contextlib.contextmanager
    def task(self, name, total=None, unit=""):
        yield self

    def skip(self, count):
        self.done += count

    def advance(self, count=1, **numbers):
        self.calls += 1
        before, self.done = self.done, self.done + count
        if before < self.clips <= self.done:
            self.callback()


@pytest.fixture
def ready(trained):
    """Settings and key of a data root with features."""
    settings, run_id = trained
    return settings, open_run(settings, run_id).key


def made_batch():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(ROWS, *SHAPE, generator=generator) * 20 - 40, torch.rand(
        ROWS, CLASSES, generator=generator
    ).round()


def gradients(ranks=None):
    """Gradients and statistics of a step over a batch that does not divide evenly, as one process or as several."""
    torch.manual_seed(0)
    net = DrumNet(*SHAPE, CLASSES, 0.0)
    rows = torch.arange(ROWS)
    if ranks is not None:
        normalise_whole_batches(net)
        rows = ranks.share(rows)
    decibels, targets = (part[rows] for part in made_batch())
    loss = torch.nn.functional.binary_cross_entropy_with_logits(net.train()(decibels), targets)
    (loss * (len(rows) / ROWS)).backward()
    if ranks is not None:
        ranks.sum_gradients(net.parameters())
    return {name: p.grad for name, p in net.named_parameters()} | dict(net.named_buffers())


def as_alone_then_fail(ranks, progress):
    """Compare with one process; then one of the two fails while the other waits for it."""
    alone, together = gradients(), gradients(ranks)
    net = DrumNet(*SHAPE, CLASSES, 0.0)
    normalise_whole_batches(net)
    found = torch._dynamo.explain(net.train())(made_batch()[0])
    assert (found.graph_count, found.graph_break_count) == (1, 0)  # sums between processes are a part of it
    assert together.keys() == alone.keys()
    for name, expected in alone.items():
        torch.testing.assert_close(together[name], expected, rtol=1e-4, atol=2e-6, msg=name)
    assert ranks.all_gather(ranks.number) == [0, 1]
    assert ranks.broadcast(ranks.number + 5) == 5
    assert ranks.all_reduce_max(ranks.number) == 1
    if ranks.number == 1:
        raise SettingsError("It was wrong", do="mend it")
    ranks.barrier()


def rank_processes():
    """Those of this process; it may have others, as the pools of earlier tests."""
    return [
        it for it in psutil.Process().children() if "beatsight_core.training.parallel.rank" in " ".join(it.cmdline())
    ]


def test_two_processes_see_the_whole_batch_and_the_error_of_one_ends_both():
    with pytest.raises(SettingsError, match=r"It was wrong\. What to do: mend it\."):
        share_run(2, as_alone_then_fail, SilentProgress(), on_cuda=False)
    assert rank_processes() == []


@pytest.mark.slow
def test_two_processes_train_as_one_does(ready):
    """Weights cannot agree to the last bit: Adam makes full steps of gradients that are rounding noise.

    In full precision: with less of it, roundings differ as soon as sums do. At a low rate: at ten times this one the
    noise had grown to 1 % of the second epoch's loss on one kind of processor, and to 0.01 % on another.
    """
    settings, key = ready
    runs, states = [], []
    for processes in (1, 2):
        options = RunOptions(fresh=True)
        more = {**FAST, **STILL, "processes": processes, "lr": 5e-4}
        runs.append(train(settings, key, overrides=more, device="cpu", options=options))
        states.append(checkpoint.load_newest(runs[-1].folder / "checkpoints").state)
    assert runs[0].run_id == runs[1].run_id
    one, two = states
    for mine, other in zip(one["history"], two["history"], strict=True):
        assert mine["train_loss"] == pytest.approx(other["train_loss"], rel=2e-4)
        assert mine["lr"] == other["lr"]
    weights = [
        torch.cat([p.flatten() for name, p in state["model"].items() if name.endswith("weight")]) for state in states
    ]
    assert float((weights[0] - weights[1]).abs().mean()) < 1e-4
    assert len(two["rng_of_others"]) == 1
    assert runs[0].metrics["accuracy"] == pytest.approx(runs[1].metrics["accuracy"], abs=0.02)


def kill_one():
    rank_processes()[0].kill()


@pytest.mark.long
def test_a_killed_and_stopped_run_of_two_ends_in_the_same_weights(ready):
    settings, key = ready
    go = functools.partial(train, settings, key, overrides={**FAST, "processes": 2}, device="cpu")
    whole = go(options=RunOptions(fresh=True))
    expected = comparable(checkpoint.load_newest(whole.folder / "checkpoints").state)
    with pytest.raises(TrainingError, match=r"Process [01] of the run ended by SIGKILL"):
        go(options=RunOptions(fresh=True), progress=When(300, kill_one))
    assert rank_processes() == []
    assert "SIGKILL" in (whole.folder / records.FAILURE).read_text()
    rest = When(400, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        go(progress=rest)
    assert 0 < rest.calls <= 15  # from the end of the first epoch on
    assert open_run(settings, whole.run_id).status == "unfinished"
    again = go()
    assert again.resumed
    assert again.metrics == whole.metrics
    assert_same(comparable(checkpoint.load_newest(whole.folder / "checkpoints").state), expected)


def test_a_process_ends_with_the_one_that_started_it():
    starts_one = (
        "import os, socket, subprocess, sys, time; a, b = socket.socketpair(); words = [sys.executable, '-m', "
        "'beatsight_core.training.parallel.rank', str(b.fileno()), str(os.getpid())]; "
        "print(subprocess.Popen(words, pass_fds=[b.fileno()]).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", starts_one], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(10)
    assert not child.is_running()


def test_as_many_processes_as_leased_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert process_count(0, "cuda", True) == 1
    monkeypatch.setenv("BEATSIGHT_LEASED", "0,1,2,3")
    assert process_count(0, "cuda", True) == 4
    assert process_count(2, "auto", True) == 2
    assert process_count(0, "cuda:1", True) == 1
    assert [process_count(wanted, "cpu", False) for wanted in (0, 1, 3)] == [1, 1, 3]
    with pytest.raises(DeviceError, match="8 processes were asked for on 4 device"):
        process_count(8, "auto", True)
    with pytest.raises(DeviceError, match="9999 processes were asked for on the CPU"):
        process_count(9999, "cpu", False)


def test_more_processes_than_clips_in_a_batch_are_refused(features, config):
    from beatsight_core.training.data.batches import load_clips
    from beatsight_core.training.loop import Trainer
    from beatsight_core.training.parallel.ranks import Ranks

    class Many(Ranks):
        def same_start(self, model):
            pass

    clips = load_clips(features, features.rows_of("train"), torch.device("cpu"))
    net = build_model("cnn_small", features.spec, len(features.classes))
    with pytest.raises(SettingsError, match="cannot be shared by 17 processes"):
        Trainer(config, net, clips, features.spec.floor_db, ranks=Many(0, 17))

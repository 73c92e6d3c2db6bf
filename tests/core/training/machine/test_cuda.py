import contextlib
import dataclasses
import os
import subprocess
from typing import ClassVar

import pytest
import torch

from beatsight_core.errors import DeviceError, SettingsError, TrainingError
from beatsight_core.runs.presets import load_preset
from beatsight_core.training.data.batches import load_clips
from beatsight_core.training.fit import fit
from beatsight_core.training.loop import Trainer
from beatsight_core.training.machine import cuda
from beatsight_core.training.machine.cuda import compile_training, training_context
from beatsight_core.training.machine.memory import MemoryShortError
from beatsight_core.training.net.augment import Augmentation
from beatsight_core.training.net.build_net import build_model
from beatsight_core.training.optimiser import MovingAverage, amp_dtype
from beatsight_core.training.parallel.ranks import Ranks

CPU = torch.device("cpu")


def test_deterministic_mode_lasts_as_long_as_its_block(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with training_context(CPU, deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with training_context(CPU, deterministic=True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    with training_context(CPU):
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_deterministic_run_is_a_run(attempt):
    assert fit(attempt("run", epochs=1, deterministic=True))["status"] == "finished"


@pytest.fixture
def trainer(features, config):
    clips = load_clips(features, features.rows_of("train"), CPU)
    net = build_model("cnn_small", features.spec, len(features.classes))
    return Trainer(config, net, clips, features.spec.floor_db)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about itself
def test_what_does_not_compile_is_said_and_left_as_it_is(trainer, features, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-compiler-here")
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-compiler-here",))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    compile_training(trainer, features.spec.n_mels, features.spec.frames)
    assert "the net (default) is not compiled: " in caplog.text
    assert "no-compiler-here" in caplog.text
    assert "augmentation is not compiled" in caplog.text
    assert isinstance(trainer.augment, Augmentation)
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert trainer.train_epoch(lambda _: None).clips == 96


class Compiled:
    """A stand-in for torch.compile: what it gives fails as it is told to, and counts its passes."""

    def __init__(self, monkeypatch, failures):
        self.failures, self.modes, self.passes = failures, [], []
        monkeypatch.setattr(torch, "compile", self)

    def __call__(self, what, mode=None):
        self.modes.append(mode)
        if mode is None:
            return what

        def forward(spectrograms):
            self.passes.append(mode)
            if error := self.failures.get(mode):
                raise error
            return what(spectrograms)

        return forward


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("backend='inductor' raised:\nInductorError: no Triton\n"),
            "RuntimeError: InductorError: no Triton",
        ),
        (subprocess.CalledProcessError(1, ["cc", "main.c"]), "CalledProcessError: Command"),
        (KeyError(13333), "KeyError: 13333"),
        (NotImplementedError(), "NotImplementedError"),
    ],
)
def test_whatever_a_compiler_raises_is_said_and_training_goes_on(trainer, features, monkeypatch, caplog, error, said):
    compiled = Compiled(monkeypatch, {"default": error})
    compile_training(trainer, features.spec.n_mels, features.spec.frames)
    assert f"the net (default) is not compiled: {said}" in caplog.text
    assert compiled.passes == ["default"]
    assert trainer.train_epoch(lambda _: None).clips == 96


def test_every_attempt_makes_two_passes_as_steps_that_accumulate_do(trainer, features, monkeypatch):
    compiled = Compiled(monkeypatch, {})
    compile_training(trainer, features.spec.n_mels, features.spec.frames)
    assert compiled.passes == ["default"] * 6


class ReplayedGraph(torch.autograd.Function):
    """Gives gradients as a replayed graph does: always in the same memory."""

    memory: ClassVar = {}

    @staticmethod
    def forward(context, weight):
        context.key, context.shape = id(weight), weight.shape
        return weight.clone()

    @staticmethod
    def backward(context, gradient):
        storage = ReplayedGraph.memory.setdefault(context.key, torch.zeros_like(gradient).untyped_storage())
        return gradient.new_empty(0).set_(storage, 0, context.shape).copy_(gradient)


@pytest.mark.parametrize("keep", [True, False])
def test_gradients_of_their_own_add_up_where_a_graph_writes_to_one_place(trainer, keep):
    """This is why graphs keep gradients: else the second part of a step would count twice, and the first never."""
    trainer.keep_gradients(keep=keep)
    weight = trainer.model.classifier.bias
    for factor in (1.0, 10.0):
        (ReplayedGraph.apply(weight) * factor).sum().backward()
    assert torch.equal(weight.grad, torch.full_like(weight, 11.0)) == keep
    trainer.clear_gradients()
    assert (weight.grad is not None) == keep
    assert weight.grad is None or not weight.grad.any()
    trainer.keep_gradients(keep=False)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_graphs_that_fail_leave_a_net_compiled_without(trainer, features, monkeypatch, caplog):
    compiled = Compiled(monkeypatch, {"reduce-overhead": RuntimeError("accessing tensor output of CUDAGraphs")})
    trainer.config = dataclasses.replace(trainer.config, compile=True, cuda_graphs=True)
    trainer.device = torch.device("cuda")
    make = torch.zeros
    monkeypatch.setattr(cuda.torch, "zeros", lambda *shape, device: make(shape))
    monkeypatch.setattr(trainer, "autocast", lambda: torch.autocast("cpu", enabled=False))
    compile_training(trainer, features.spec.n_mels, features.spec.frames)
    assert compiled.modes == ["reduce-overhead", "default", None]
    assert "the net (reduce-overhead) is not compiled: RuntimeError: accessing tensor output" in caplog.text
    assert not trainer._keep_gradients


def test_graphs_without_a_compiled_net_are_refused_by_name(settings):
    with pytest.raises(SettingsError, match="cuda_graphs needs compile = true"):
        load_preset(settings, "warmup", {"cuda_graphs": True})
    assert load_preset(settings, "warmup", {"cuda_graphs": True, "compile": True}).cuda_graphs


class Others(Ranks):
    """One of two processes; the other ended its attempt otherwise."""

    def __init__(self, other_failed, memory=0):
        super().__init__(0, 2)
        self.told, self.memory = [other_failed], memory

    def all_gather(self, value):
        return [value, self.told.pop() if self.told else value]

    def all_reduce_max(self, wish):
        return max(wish, self.memory)


@pytest.mark.parametrize(
    ("mine", "other", "memory", "expected"),
    [
        (None, True, 0, DeviceError),
        (None, True, 1, MemoryShortError),
        (RuntimeError("no"), False, 0, DeviceError),
        (torch.OutOfMemoryError("CUDA out of memory."), False, 0, MemoryShortError),
        (RuntimeError("no"), True, 0, None),
        (None, False, 0, None),
    ],
)
def test_processes_agree_on_whether_it_compiles(trainer, monkeypatch, mine, other, memory, expected):
    """One that went on alone would wait for the other for ever, or be joined with the wrong sums."""
    Compiled(monkeypatch, {"default": mine})
    trainer.ranks = Others(other, memory)
    ends = pytest.raises(expected) if expected else contextlib.nullcontext()
    with ends:
        compile_training(trainer, 16, 6)
    assert (trainer._forward is not trainer.model) == (mine is None and expected is None)


@pytest.mark.parametrize(
    ("native", "amp", "expected"),
    [
        (True, "auto", torch.bfloat16), (False, "auto", torch.float16), (True, "off", None), (False, "off", None),
        (True, "float16", torch.float16), (False, "float16", torch.float16), (True, "bfloat16", torch.bfloat16),
    ],
)  # fmt: skip
def test_bfloat16_is_for_devices_that_have_it(config, monkeypatch, native, amp, expected):
    """Torch counts emulated bfloat16 as supported, on a T4 for example, whose convolutions then have no kernels."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    assert amp_dtype(dataclasses.replace(config, amp=amp), torch.device("cuda")) is expected


def test_bfloat16_that_is_only_emulated_is_refused_by_name(config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(DeviceError, match=r"Tesla T4 has no bfloat16.*--set amp=float16"):
        amp_dtype(dataclasses.replace(config, amp="bfloat16"), torch.device("cuda"))


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), TrainingError, "too little memory"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), TrainingError, "too little memory"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), DeviceError, "ECC"),
        (RuntimeError("CUDA error: no kernel image is available for execution on the device"), DeviceError, "kernel"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), RuntimeError, "mat1"),
    ],
)
def test_what_a_device_says_becomes_an_error_that_explains(error, expected, said):
    with pytest.raises(expected, match=said) as caught, training_context(CPU):
        raise error
    assert type(caught.value) is expected


def test_the_average_follows_weights_and_takes_statistics_of_every_type(features):
    torch.manual_seed(0)
    model = build_model("cnn_pair", features.spec, len(features.classes)).double()
    average = build_model("cnn_pair", features.spec, len(features.classes)).double()
    model.train()(torch.rand(4, features.spec.n_mels, features.spec.frames).double())
    before = {name: value.clone() for name, value in average.state_dict().items()}
    weights = {name for name, _ in model.named_parameters()}
    MovingAverage(average, model).move(0.9)
    for name, value in average.state_dict().items():
        theirs = model.state_dict()[name]
        expected = 0.9 * before[name] + 0.1 * theirs if name in weights else theirs
        assert torch.allclose(value, expected), name
    assert average.state_dict()["whole.blocks.0.1.num_batches_tracked"] == 1

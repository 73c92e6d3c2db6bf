import os

import pytest
import torch

from beatsight_core.training.augment import Augmentation
from beatsight_core.training.batches import load_clips
from beatsight_core.training.cuda import compile_training, training_context
from beatsight_core.training.fit import fit
from beatsight_core.training.loop import Trainer
from beatsight_core.training.model import build_model

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


def test_a_deterministic_run_is_a_run(sitting):
    assert fit(sitting("run", epochs=1, deterministic=True))["status"] == "finished"


@pytest.fixture
def trainer(features, config):
    clips = load_clips(features, features.rows_of("train"), CPU)
    net = build_model("cnn_small", features.spec, len(features.classes))
    return Trainer(config, net, clips, features.spec.floor_db)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, about itself
def test_what_does_not_compile_is_said_and_left_as_it_is(trainer, features, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-compiler-here")
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-compiler-here",))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    compile_training(trainer, features.spec.n_mels, features.spec.frames)
    assert "the net (default) is not compiled" in caplog.text
    assert "augmentation is not compiled" in caplog.text
    assert isinstance(trainer.augment, Augmentation)
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert trainer.train_epoch(lambda _: None).clips == 96

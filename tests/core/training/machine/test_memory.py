import json

import pytest
import torch

from beatsight_core.errors import TrainingError
from beatsight_core.runs import records
from beatsight_core.runs.records import open_run
from beatsight_core.training import checkpoint, run
from beatsight_core.training.data.batches import load_clips
from beatsight_core.training.fit import fit
from beatsight_core.training.loop import Trainer
from beatsight_core.training.net.build_net import MODELS, build_model
from beatsight_core.training.net.drum_net import DrumNet
from beatsight_core.training.parallel.ranks import Ranks
from tests.core.training.test_resume import assert_same

PLAIN = {
    "model": "cnn", "dropout": 0.0, "augment_shift_frames": 0, "augment_eq_db": 0.0,
    "augment_noise_probability": 0.0, "augment_mask_probability": 0.0, "augment_mix_probability": 0.0,
    "augment_neighbour_probability": 0.0,
}  # fmt: skip


class HungryNet(DrumNet):
    """Needs more memory than there is, from `most` clips on and after `patience` passes."""

    most, patience = 4, 5

    def __init__(self, spec, n_classes, dropout):
        super().__init__(spec.n_mels, spec.frames, n_classes, dropout)

    def forward(self, decibels: torch.Tensor) -> torch.Tensor:
        if self.training:
            HungryNet.patience -= 1
            if HungryNet.patience < 0 and len(decibels) > self.most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().forward(decibels)


@pytest.fixture(autouse=True)
def hungry(monkeypatch):
    monkeypatch.setitem(MODELS, "cnn", HungryNet)
    monkeypatch.setattr(HungryNet, "patience", 5)


def test_too_little_memory_halves_batches_and_goes_on_from_the_same_step(attempt, last_state, caplog):
    run = attempt("run", **PLAIN)
    fit(run)  # six batches of 16, two to a step: the sixth fails
    assert "step 3 goes on with 8 clips at a time, 4 times a step" in caplog.text
    assert "step 3 goes on with 4 clips at a time, 8 times a step" in caplog.text
    history = records.read_history(run.folder)
    assert [record["step"] for record in history] == [3, 6, 9]
    assert [(record["batch"], record["accumulation"]) for record in history] == [(4, 8)] * 3
    assert last_state(run)["steps"] | {"pieces": 4, "batch": 16, "accumulation": 2} == last_state(run)["steps"]
    assert all(record["train_loss"] < 1.0 for record in history)


def test_a_resumed_run_keeps_its_smaller_batches(attempt, last_state, monkeypatch):
    monkeypatch.setattr(HungryNet, "patience", 0)
    whole = attempt("whole", **PLAIN)
    fit(whole)

    def stop(steps):
        if steps == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(attempt("stopped", stop, **PLAIN))
    again = attempt("stopped", **PLAIN)
    monkeypatch.setattr(HungryNet, "most", 100)
    fit(again)
    assert_same(last_state(again)["model"], last_state(whole)["model"])


def test_when_not_even_one_clip_fits_it_says_what_to_do(attempt, monkeypatch):
    monkeypatch.setattr(HungryNet, "most", 0)
    with pytest.raises(TrainingError, match=r"cpu has too little memory.*smaller batch.*residence=host") as caught:
        fit(attempt("run", **PLAIN))
    assert "Tried to allocate" not in str(caught.value)


def test_more_processes_than_before_cut_their_smaller_shares_into_fewer_parts(features, config):
    class Many(Ranks):
        def same_start(self, model):
            pass

    def trainer(ranks):
        clips = load_clips(features, features.rows_of("train"), torch.device("cpu"))
        net = build_model("cnn_small", features.spec, len(features.classes))
        return Trainer(config, net, clips, features.spec.floor_db, ranks=ranks)

    before, after = trainer(Ranks()), trainer(Many(3, 8))
    before.cut_batches(8, "too little memory")
    after.restore(before.state())
    assert (before.micro_batches, after.micro_batches, after.smallest_part) == (8, 2, 1)


train_share = run._train_share


def hungry_share(settings, folder, identity, how, ranks, progress):
    """The share of one of two processes, the second of which has a device with little memory."""
    MODELS["cnn"], HungryNet.patience = HungryNet, 2
    HungryNet.most = 4 if ranks.number else 1000
    train_share(settings, folder, identity, how, ranks, progress)


@pytest.mark.long
def test_of_several_processes_all_take_smaller_parts_from_the_last_checkpoint(trained, monkeypatch, caplog):
    settings, run_id = trained
    monkeypatch.setattr(run, "_train_share", hungry_share)
    values = {**PLAIN, "epochs": 1, "batch": 16, "processes": 2}
    result = run.train(settings, open_run(settings, run_id).key, overrides=values, device="cpu")
    assert "Starts again from the last checkpoint, with half as many clips at a time" in caplog.text
    assert checkpoint.load_newest(result.folder / records.CHECKPOINTS).state["steps"]["pieces"] == 2
    assert json.loads((result.folder / records.HISTORY).read_text())["batch"] == 8
    assert not (result.folder / records.FAILURE).exists()


def test_a_step_that_failed_after_gradients_were_unscaled_is_taken_again(features, config, monkeypatch):
    clips = load_clips(features, features.rows_of("train"), torch.device("cpu"))
    trainer = Trainer(config, build_model("cnn_small", features.spec, len(features.classes)), clips, -80.0)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    step, failures = trainer.optimizer.step, [torch.OutOfMemoryError("CUDA out of memory.")]

    def once_too_little(*arguments, **words):
        if failures:
            raise failures.pop()
        return step(*arguments, **words)

    monkeypatch.setattr(trainer.optimizer, "step", once_too_little)
    trainer.train_epoch(lambda clips: None)
    assert (trainer.micro_batches, trainer.position.epoch_step) == (2, trainer.steps_per_epoch)
    assert trainer.scaler.get_scale() == 8.0

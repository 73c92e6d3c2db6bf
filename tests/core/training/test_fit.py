import dataclasses
import json

import polars as pl
import pytest
import torch

from beatsight_core.errors import DatasetError, TrainingError
from beatsight_core.runs import records
from beatsight_core.training import checkpoint
from beatsight_core.training.fit import fit

EASY = {"epochs": 8, "batch": 8, "accumulation": 1, "augment_mask_probability": 0.0}


def test_a_run_learns_and_leaves_everything(attempt):
    run = attempt("run", **EASY)
    result = fit(run)
    assert result["metrics"]["accuracy"] > 0.9
    assert result["metrics"]["hits"] == 40
    assert result == json.loads((run.folder / "metrics.json").read_text())
    assert result["status"] == "finished"
    history = records.read_history(run.folder)
    assert [record["epoch"] for record in history] == list(range(1, 9))
    assert [record["step"] for record in history] == list(range(12, 97, 12))
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert set(history[0]["f1"]) == set(run.features.classes)
    best = max(history, key=lambda record: (record["val_accuracy"], -record["val_loss"]))
    assert result["best_epoch"] == best["epoch"]
    thresholds = json.loads((run.folder / "thresholds.json").read_text())
    assert thresholds["hits"] == 30
    assert thresholds["thresholds"]["china"] == 0.4
    assert thresholds["thresholds"]["kick"] != 0.4


def test_equal_seeds_give_equal_weights_and_others_others(attempt, last_state):
    weights = []
    for folder, seed in (("one", 1), ("two", 1), ("three", 2)):
        run = attempt(folder, epochs=1, seed=seed)
        fit(run)
        weights.append(last_state(run)["model"]["classifier.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_divergence_stops_and_names_step_and_last_good_checkpoint(attempt, spoilt_features):
    run = attempt("run", epochs=2)
    fit(run)
    checkpoint.last_checkpoints(run.checkpoints)[0][
        1
    ].unlink()  # the second epoch is done again, with a spectrogram gone bad
    run.features = spoilt_features
    with pytest.raises(TrainingError, match=r"diverged at step [456] \(epoch 2\)") as caught:
        fit(run)
    assert "epoch-0001-step-00000003.pt" in str(caught.value)
    assert [path.name for _, path in checkpoint.last_checkpoints(run.checkpoints)] == ["epoch-0001-step-00000003.pt"]


def test_an_empty_split_is_a_dataset_error(attempt, features):
    meta = features.meta.with_columns(split=pl.lit("train"))
    with pytest.raises(DatasetError, match="no hits in split val"):
        fit(attempt("run", features=dataclasses.replace(features, meta=meta)))


def test_without_calibration_hits_thresholds_are_the_default(attempt, features):
    meta = features.meta.with_columns(split=pl.col("split").replace("calibration", "train"))
    run = attempt("run", features=dataclasses.replace(features, meta=meta), epochs=1)
    fit(run)
    assert set(json.loads((run.folder / "thresholds.json").read_text())["thresholds"].values()) == {0.4}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("amp", ["off", "bfloat16", "float16"])
def test_a_cuda_device_learns_too(attempt, amp):
    run = attempt("run", **EASY, amp=amp)
    run.device = torch.device("cuda", 0)
    assert fit(run)["metrics"]["accuracy"] > 0.9

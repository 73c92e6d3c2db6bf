import dataclasses

import numpy as np
import pytest
import torch

from beatsight_core.training.data.batches import load_clips
from beatsight_core.training.data.order import validation_rows
from beatsight_core.training.net.bands import band_statistics

CPU = torch.device("cpu")


def test_resident_and_mapped_clips_are_the_same(features):
    rows = features.rows_of("train")
    resident, mapped = load_clips(features, rows, CPU), load_clips(features, rows, CPU, residence="map")
    some = torch.tensor([70, 3, 3, 99, 0])
    for left, right in zip(resident.batch(some), mapped.batch(some), strict=True):
        assert left.dtype == torch.float32
        assert torch.equal(left, right)
    assert torch.equal(resident.targets, mapped.targets)
    expected = np.concatenate(features.arrays)[rows[some.numpy()]]
    assert np.array_equal(resident.batch(some)[0].numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("residence", ["device", "map"])
def test_a_batch_leaves_the_threads_as_they_were(features, residence):
    clips = load_clips(features, features.rows_of("train"), CPU, residence=residence)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        clips.batch(torch.tensor([1, 2, 3]))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_eight_bit_clips_come_out_as_decibels(features):
    spec = dataclasses.replace(features.spec, storage="uint8")
    steps = [np.round((np.asarray(array, np.float32) + 80) * 255 / 80).clip(0, 255).astype(np.uint8)
             for array in features.arrays]  # fmt: skip
    small = dataclasses.replace(features, spec=spec, arrays=steps)
    rows, some = features.rows_of("train"), torch.tensor([70, 3, 3, 99, 0])
    expected = np.concatenate(features.arrays)[rows[some.numpy()]].astype(np.float32).clip(-80, 0)
    for clips in (load_clips(small, rows, CPU), load_clips(small, rows, CPU, residence="map")):
        decibels, targets = clips.batch(some)
        assert decibels.dtype == targets.dtype == torch.float32
        assert decibels.numpy() == pytest.approx(expected, abs=0.16)


def test_statistics_are_those_of_the_training_hits_alone(features):
    mean, deviation = band_statistics(load_clips(features, features.rows_of("train"), CPU))
    train = np.concatenate(features.arrays)[features.rows_of("train")].astype(np.float64)
    assert mean.numpy() == pytest.approx(train.mean(axis=(0, 2)), abs=1e-4)
    assert deviation.numpy() == pytest.approx(train.std(axis=(0, 2)), abs=1e-3)


def test_a_share_of_val_is_chosen_by_hit_id(features, config):
    few = dataclasses.replace(config, val_fraction=0.5, val_minimum=10)
    rows = validation_rows(features, few)
    assert len(rows) == 20
    assert set(rows) < set(features.rows_of("val"))
    ids = features.meta["hit_id"].to_numpy()
    assert max(ids[rows]) < min(ids[np.setdiff1d(features.rows_of("val"), rows)])
    assert len(validation_rows(features, config)) == 40  # as many as there are, below the least number

import dataclasses

import pytest
import torch

from beatsight_core.training.net.augment import (
    NEAREST_NEIGHBOUR_FRAMES,
    NEIGHBOUR_DB,
    Augmentation,
    add_neighbour,
    mask_stripes,
    mix_with_other,
    shift_in_time,
)

FLOOR = -80.0


@pytest.fixture
def batch():
    torch.manual_seed(1)
    spectrograms = torch.rand(64, 16, 6) * -60
    spectrograms -= spectrograms.amax(dim=(1, 2), keepdim=True)
    return spectrograms, (torch.rand(64, 5) < 0.3).float()


def test_all_of_it_keeps_shape_range_and_reference(batch, config):
    spectrograms, targets = batch
    got, labels = Augmentation(config, FLOOR)(spectrograms.clone(), targets.clone())
    assert got.shape == spectrograms.shape
    assert got.min() >= FLOOR - 1e-3
    assert got.max() <= 0.0
    assert not torch.equal(got, spectrograms)
    assert set(labels.unique().tolist()) <= {0.0, 1.0}
    assert (labels >= targets).all()


def test_nothing_asked_for_changes_nothing(batch, config):
    kinds = ("noise", "mask", "mix", "neighbour")
    names = ("shift_frames", "eq_db", *(f"{kind}_probability" for kind in kinds))
    off = {f"augment_{name}": 0 for name in names}
    got, labels = Augmentation(dataclasses.replace(config, **off), FLOOR)(*batch)
    assert torch.allclose(got, batch[0], atol=1e-3)
    assert torch.equal(labels, batch[1])


def test_mixing_adds_power_and_unites_labels(batch):
    spectrograms, targets = batch
    power = 10 ** (spectrograms / 10)
    mixed, labels = mix_with_other(power, targets, 1.0, 6.0)
    assert (mixed > power).all()
    assert torch.equal(labels, torch.maximum(targets, targets.roll(1, 0)))
    same, kept = mix_with_other(power, targets, 0.0, 6.0)
    assert torch.equal(same, power)
    assert torch.equal(kept, targets)


def test_shifts_move_whole_frames(batch):
    spectrograms = batch[0]
    moved = shift_in_time(spectrograms, 1)
    kinds = {
        -1: torch.cat([spectrograms[:, :, 1:], spectrograms[:, :, -1:]], 2),
        0: spectrograms,
        1: torch.cat([spectrograms[:, :, :1], spectrograms[:, :, :-1]], 2),
    }
    found = [
        {shift for shift, kind in kinds.items() if torch.equal(moved[i], kind[i])} for i in range(len(spectrograms))
    ]
    assert set.union(*found) == {-1, 0, 1}
    assert all(found)


def test_stripes_are_no_wider_than_asked(batch, config):
    changed = dataclasses.replace(config, augment_bands=3, augment_frames=2, augment_mask_probability=1.0)
    masked = mask_stripes(batch[0], changed) != batch[0]
    bands, frames = masked.all(dim=2).sum(dim=1), masked.all(dim=1).sum(dim=1)
    assert 0 < bands.max() <= 3
    assert 0 < frames.max() <= 2


def test_a_neighbour_keeps_its_distance_and_brings_no_labels(batch):
    power = torch.zeros(len(batch[0]), 4, 12)
    power[:, :, 6] = 1.0  # a click in the middle of each clip
    with_other = add_neighbour(power, 1.0)
    added = with_other - power
    assert torch.all(with_other[:, :, 6] == 1.0)
    places = added.amax(dim=1).nonzero()[:, 1]
    assert len(places) > 0
    assert torch.all((places - 6).abs() >= NEAREST_NEIGHBOUR_FRAMES)
    assert added.max() <= 10 ** (NEIGHBOUR_DB[1] / 10)
    assert torch.equal(add_neighbour(power, 0.0), power)

"""A contract that every optimizer keeps, whatever its name."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from beatsight_core.runs import presets
from beatsight_core.runs.presets import load_preset
from beatsight_core.training.optimiser import OPTIMIZERS, make_optimizer


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture(params=presets.OPTIMIZERS)
def config(settings, request):
    return load_preset(settings, "warmup", {"optimizer": request.param, "lr": 0.02})


def step(net, optimizer, number):
    generator = torch.Generator().manual_seed(number)
    inputs = torch.randn(16, 4, generator=generator)
    loss = (net(inputs) - inputs[:, :3]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def weights(net):
    return [parameter.detach().clone() for parameter in net.parameters()]


def test_every_name_of_the_presets_is_made_and_no_other():
    assert set(OPTIMIZERS) == set(presets.OPTIMIZERS)


def test_an_optimizer_learns(net, config):
    optimizer = make_optimizer(net, config)
    losses = [step(net, optimizer, number) for number in range(60)]
    assert sum(losses[-10:]) < sum(losses[:10])


def test_it_goes_on_from_its_state_as_if_nothing_had_happened(net, config, tmp_path):
    optimizer = make_optimizer(net, config)
    step(net, optimizer, 0)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    other = copy.deepcopy(net)
    resumed = make_optimizer(other, config)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for number in (1, 2):
        step(net, optimizer, number)
        step(other, resumed, number)
    assert all(torch.equal(one, two) for one, two in zip(weights(net), weights(other), strict=True))


def test_it_takes_the_rate_of_each_step_from_its_groups(net, config):
    optimizer = make_optimizer(net, dataclasses.replace(config, weight_decay=0.1))
    before = weights(net)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    step(net, optimizer, 0)
    assert all(torch.equal(one, two) for one, two in zip(before, weights(net), strict=True))


def test_only_matrices_decay(net, config):
    optimizer = make_optimizer(net, dataclasses.replace(config, weight_decay=0.1))
    for group in optimizer.param_groups:
        assert len({parameter.dim() > 1 for parameter in group["params"]}) == 1
        assert group["weight_decay"] == (0.1 if group["params"][0].dim() > 1 else 0.0)


def test_the_default_leaves_the_identity_of_earlier_runs_as_it_was(settings):
    assert "optimizer" not in load_preset(settings, "warmup").identity()

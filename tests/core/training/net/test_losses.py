import dataclasses

import pytest
import torch
from torch.nn import functional

from beatsight_core.training.net.losses import MultilabelLoss, component_share


@pytest.fixture
def loss(config):
    def make(share=None, **values):
        share = torch.full((3,), 0.5) if share is None else torch.tensor(share)
        return MultilabelLoss(dataclasses.replace(config, **values), share)

    return make


LOGITS = torch.tensor([[0.0, 2.0, -3.0], [1.0, -1.0, 4.0]])
TARGETS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def test_plain_it_is_the_mean_cross_entropy_per_component(loss):
    expected = functional.binary_cross_entropy_with_logits(LOGITS, TARGETS)
    assert loss()(LOGITS, TARGETS) == pytest.approx(float(expected))
    smoothed = functional.binary_cross_entropy_with_logits(LOGITS, TARGETS * 0.8 + 0.1)
    assert loss(label_smoothing=0.2)(LOGITS, TARGETS) == pytest.approx(float(smoothed))


def test_rare_strokes_count_as_the_odds_against_them(loss):
    weighed = loss([0.2, 0.5, 0.01], positive_weight=1.0)
    assert weighed.weight.tolist() == pytest.approx([4.0, 1.0, 20.0])
    struck, silent = torch.zeros(1, 3), torch.ones(1, 3)
    assert weighed(struck, silent) == pytest.approx(float(torch.log(torch.tensor(2.0))) * 25 / 3)


@pytest.mark.parametrize("kind", ["focal", "asymmetric"])
def test_sure_and_right_counts_for_little(loss, kind):
    sure, targets = torch.tensor([[-2.0, -2.0, -2.0]]), torch.zeros(1, 3)
    plain, other = loss()(sure, targets), loss(loss=kind)(sure, targets)
    assert 0 < other < 0.1 * plain


@pytest.mark.parametrize("kind", ["focal", "asymmetric"])
def test_gradients_stay_finite_where_answers_are_extreme(loss, kind):
    logits = torch.tensor([[60.0, -60.0, 0.0]], requires_grad=True)
    loss(loss=kind)(logits, torch.tensor([[0.0, 1.0, 1.0]])).backward()
    assert torch.all(torch.isfinite(logits.grad))


def test_the_share_struck_is_of_all_clips():
    targets = torch.tensor([[1, 0, 1], [1, 0, 0], [1, 1, 0]], dtype=torch.uint8)
    assert component_share(targets).tolist() == pytest.approx([1.0, 1 / 3, 1 / 3], abs=1e-5)

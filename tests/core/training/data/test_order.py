import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.runs.records import open_run
from beatsight_core.training.data.clip_weights import LARGEST_WEIGHT, class_weights, draw_weights
from beatsight_core.training.data.order import epoch_order
from beatsight_core.training.fit import fit
from beatsight_core.training.run import RunOptions, train
from tests.core.training.test_resume import assert_same, comparable, terminate_at


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 200), epoch=st.integers(0, 300))
def test_the_order_is_a_permutation_that_epoch_and_seed_determine(count, epoch):
    order = epoch_order(count, 1337, epoch)
    assert sorted(order.tolist()) == list(range(count))
    assert torch.equal(order, epoch_order(count, 1337, epoch))


def test_epochs_and_seeds_differ():
    orders = {tuple(epoch_order(50, seed, epoch).tolist()) for seed in (1, 2) for epoch in range(5)}
    assert len(orders) == 10


@settings(max_examples=50, deadline=None)
@given(weights=st.lists(st.floats(0, 50) | st.just(0.0), min_size=1, max_size=80).filter(any), epoch=st.integers(0, 99))
def test_weighted_draws_are_as_many_and_in_proportion(weights, epoch):
    weights = np.array(weights)
    order = epoch_order(len(weights), 7, epoch, weights)
    assert torch.equal(order, epoch_order(len(weights), 7, epoch, weights))
    drawn = np.bincount(order.numpy(), minlength=len(weights))
    expected = len(weights) * weights / weights.sum()
    assert drawn.sum() == len(weights)
    assert np.abs(drawn - expected).max() < 1 + 1e-6


def test_rare_components_weigh_more_within_limits():
    targets = np.zeros((10_001, 3), dtype=np.uint8)
    targets[:6400, 0] = 1
    targets[6300:6400, 1] = 1  # 100, each struck with the first
    targets[6400:6401, 2] = 1
    weights = class_weights(targets)
    assert weights[0] == 1.0
    assert weights[6399] == pytest.approx(8.0)
    assert weights[6400] == LARGEST_WEIGHT
    assert weights[-1] == 1.0
    assert class_weights(np.zeros((2, 3), dtype=np.uint8)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("step", [2, 4])
def test_a_run_of_weighted_draws_resumes_bit_for_bit(attempt, features, last_state, step):
    weights = class_weights(features.targets[features.rows_of("train")])

    def weighted(folder, callback=None):
        made = attempt(folder, callback, balance="classes", epochs=2)
        made.weights = weights
        return made

    whole = weighted("whole")
    fit(whole)
    with pytest.raises(KeyboardInterrupt):
        fit(weighted("stopped", terminate_at(step)))
    fit(weighted("stopped"))
    assert_same(comparable(last_state(weighted("stopped"))), comparable(last_state(whole)))
    uniform = attempt("uniform", epochs=2)
    fit(uniform)
    assert not torch.equal(
        last_state(uniform)["model"]["classifier.bias"], last_state(whole)["model"]["classifier.bias"]
    )


def test_sessions_weigh_as_the_sampling_profile_says(trained):
    from beatsight_core.features.cache import open_features

    settings, run_id = trained
    key = open_run(settings, run_id).key
    features = open_features(settings, key)
    rows = features.rows_of("train")
    weights = draw_weights(settings, key, features, "sessions")
    sessions = features.meta[rows]["session_id"].to_numpy()
    assert weights.shape == rows.shape
    assert all(len(set(weights[sessions == session])) == 1 for session in set(sessions))
    assert draw_weights(settings, key, features, "none") is None
    few = {"epochs": 1, "batch": 16, "accumulation": 1}
    made = {train(settings, key, overrides={**few, "balance": way}, device="cpu", options=RunOptions()).run_id
            for way in ("none", "sessions", "classes")}  # fmt: skip
    assert len(made) == 3

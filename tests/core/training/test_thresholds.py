import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.training.thresholds import DEFAULT, PRIOR_POSITIVES, best_f1_threshold, tune_thresholds


def f1(probabilities, targets, threshold):
    said = probabilities >= threshold
    return 2 * np.sum(said & (targets == 1)) / (said.sum() + targets.sum())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), steps=st.sampled_from([4, 50, 10_000]))
def test_no_other_threshold_has_a_greater_f1(seed, steps):
    random = np.random.default_rng(seed)
    targets = (random.random(40) < 0.4).astype(np.uint8)
    targets[0] = 1
    probabilities = np.round(np.clip(random.normal(0.3 + 0.3 * targets, 0.2), 0.01, 0.99) * steps) / steps
    found = best_f1_threshold(probabilities, targets)
    grid = np.unique(np.concatenate([probabilities, [0.0, 1.0]]))
    best = max(f1(probabilities, targets, threshold) for threshold in grid)
    assert f1(probabilities, targets, found) == pytest.approx(best)


def test_few_positives_stay_near_the_default():
    random = np.random.default_rng(0)
    sure = {}
    for positives in (4, 200, 20_000):
        targets = np.zeros(10 * positives, dtype=np.uint8)
        targets[:positives] = 1
        probabilities = np.where(targets, random.uniform(0.2, 0.4, len(targets)), random.uniform(0, 0.2, len(targets)))
        sure[positives] = tune_thresholds(probabilities[:, None], targets[:, None])[0]
    assert sure[4] == DEFAULT
    assert sure[200] == pytest.approx((0.2 + DEFAULT) / 2, abs=0.02)
    assert sure[20_000] == pytest.approx(0.2, abs=0.01)
    assert PRIOR_POSITIVES == 200


def test_without_hits_all_are_the_default():
    assert tune_thresholds(np.zeros((0, 3)), np.zeros((0, 3))).tolist() == [DEFAULT] * 3

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatsight_core.runs.presets import TrainingConfig
from beatsight_core.training.schedule import Plateau, learning_rate

COSINE = TrainingConfig(preset="warmup", epochs=8, schedule="cosine", lr=4.5e-4, batch=32, warmup_epochs=4.0)
PLATEAU = dataclasses.replace(COSINE, schedule="plateau", warmup_epochs=0.0, plateau_patience=2)


def curve(config, steps, plateau=None):
    return [learning_rate(config, step, steps, plateau or Plateau()) for step in range(config.epochs * steps)]


@given(epochs=st.integers(1, 30), steps=st.integers(1, 50), warmup=st.floats(0, 40))
def test_cosine_rises_to_the_rate_and_falls_to_the_least(epochs, steps, warmup):
    config = dataclasses.replace(COSINE, epochs=epochs, warmup_epochs=warmup)
    rates = curve(config, steps)
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(config.lr)
    assert min(rates) > 0
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak <= round(epochs * steps / 2)
    if epochs * steps > 3:
        assert rates[-1] == pytest.approx(config.min_lr)


def test_the_warm_up_is_as_long_as_the_preset_says():
    rates = curve(COSINE, 10)
    assert rates[39] == COSINE.lr
    assert rates[38] < COSINE.lr


def test_a_plateau_lowers_the_rate_when_patience_ends():
    plateau = Plateau()
    factors = []
    for loss in (0.5, 0.4, 0.41, 0.42, 0.40, 0.39, 0.5, 0.5, 0.5):
        plateau.observe(loss, PLATEAU)
        factors.append(plateau.factor)
    assert factors == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert learning_rate(PLATEAU, 7, 1, plateau) == pytest.approx(PLATEAU.lr / 4)
    assert learning_rate(PLATEAU, 7, 1, Plateau(factor=1e-6)) == PLATEAU.min_lr

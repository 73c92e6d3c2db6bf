"""Varied kits: far more different than the demo's, and still kits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.synthesis.kit import Kit
from beatsight_core.taxonomy import CORE

RATE = 44100
KITS = 8
BY_FOOT = ("hihat_pedal", "hihat_foot_splash")


def centroid_octaves(sound):
    """Centre of the spectrum of the first 100 ms, in octaves."""
    padded = np.zeros(RATE // 10)
    padded[: min(padded.size, sound.size)] = sound[: padded.size]
    power = np.abs(np.fft.rfft(padded)) ** 2
    return np.log2((np.fft.rfftfreq(padded.size, 1 / RATE) * power).sum() / power.sum())


def kits(*, varied):
    return [Kit("kit", (seed,), "cowbell", RATE, varied) for seed in range(KITS)]


@pytest.fixture(scope="module")
def plain():
    return kits(varied=False)


@pytest.fixture(scope="module")
def varied():
    return kits(varied=True)


@pytest.mark.parametrize("component", ["hihat_closed", "snare", "crash", "tom_mid"])
def test_varied_kits_differ_far_more_than_those_of_the_demo(component, plain, varied):
    spread = [np.std([centroid_octaves(kit.stroke(component, 0, 0.9, 0)) for kit in of]) for of in (plain, varied)]
    assert spread[1] > 2.5 * spread[0]
    assert spread[1] > 0.3


def test_levels_of_varied_kits_differ_more(plain, varied):
    spread = [np.std([[20 * np.log10(level) for level in kit.levels.values()] for kit in of], axis=0).mean()
              for of in (plain, varied)]  # fmt: skip
    assert spread[1] > 2 * spread[0]


def test_strokes_of_one_instrument_vary_together(varied):
    """Toms share a character: where the high one is tuned high for its size, the others are."""
    octaves = np.log2(
        [[kit.bodies[f"tom_{place}"][0].modes.hz[0] for place in ("high", "mid", "low")] for kit in varied]
    )
    assert np.corrcoef(octaves.T).min() > 0.7


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_every_varied_kit_is_a_kit(seed):
    kit, again = (Kit("kit", (seed, 1), "tambourine", RATE, varied=True) for _ in range(2))
    assert set(kit.bodies) == set(kit.levels) == set(CORE.components)
    for component in CORE.components:
        sound = kit.stroke(component, 0, 0.9, 0)
        assert np.isfinite(sound).all()
        assert abs(sound[-1]) < 1e-2 * np.abs(sound).max()
        loudness = np.sqrt(np.mean(sound[: int(0.06 * RATE)] ** 2))
        assert loudness == pytest.approx(kit.levels[component] * 0.9**1.2, rel=1e-3)
        if component not in BY_FOOT:  # feet are slow
            assert np.abs(sound[:88]).max() > 0.003 * np.abs(sound).max()
    assert np.array_equal(kit.stroke("snare", 0, 0.5, 1), again.stroke("snare", 0, 0.5, 1))


def test_a_kit_of_the_demo_is_not_varied():
    plain, varied = (Kit("kit", (5,), "cowbell", RATE, varied) for varied in (False, True))
    assert not Kit("kit", (5,), "cowbell", RATE).varied
    assert plain.levels != varied.levels
    assert plain.bodies["kick"][0].length_s == 0.7

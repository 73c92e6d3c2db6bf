import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatsight_core.units import milliseconds_to_samples, samples_to_seconds, seconds_to_samples

rates = st.sampled_from([8000, 22050, 44100, 48000, 96000])


@given(st.floats(-1e5, 1e5), rates)
def test_rounding_is_off_by_at_most_half_a_sample(seconds, rate):
    samples = seconds_to_samples(seconds, rate)
    assert abs(samples - seconds * rate) <= 0.5 + 1e-6


@given(st.integers(-(10**9), 10**9), rates)
def test_samples_survive_the_way_to_seconds_and_back(samples, rate):
    assert seconds_to_samples(samples_to_seconds(samples, rate), rate) == samples


def test_half_a_sample_rounds_up_at_both_signs():
    assert seconds_to_samples(1.5, 1) == 2
    assert seconds_to_samples(2.5, 1) == 3
    assert seconds_to_samples(-1.5, 1) == -1
    assert milliseconds_to_samples(280, 44100) == 12348


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf])
def test_time_that_is_not_finite_is_refused(seconds):
    with pytest.raises(ValueError, match="finite"):
        seconds_to_samples(seconds, 44100)


def test_rate_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        seconds_to_samples(1.0, 0)
    with pytest.raises(ValueError, match="positive"):
        samples_to_seconds(1, -1)

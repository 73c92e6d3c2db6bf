"""Bodies, kits, rooms and loudness: sounds behave as physics and their own claims say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.synthesis.kit import TAKES, Kit, spelling
from beatsight_core.synthesis.loudness import integrated_loudness, peak_dbfs
from beatsight_core.synthesis.room import Room, convolve, echoes
from beatsight_core.taxonomy import CORE

RATE = 44100
ROOM = Room("room", (1, 2), t60_s=0.3, wet_db=-14.0, first_s=0.004)


@pytest.fixture(scope="module")
def kit():
    return Kit("kit", (5,), "cowbell", RATE)


def centroid_hz(sound, seconds=0.1):
    n = int(seconds * RATE)
    padded = np.zeros(n)
    padded[: min(n, sound.size)] = sound[:n]
    power = np.abs(np.fft.rfft(padded * np.hanning(2 * n)[n:])) ** 2
    return float((np.fft.rfftfreq(n, 1 / RATE) * power).sum() / power.sum())


def test_a_kit_has_every_core_component(kit):
    assert set(kit.bodies) == set(kit.levels) == set(CORE.components)


@pytest.mark.parametrize("component", CORE.components)
def test_a_stroke_begins_with_its_first_sample_and_dies(kit, component):
    sound = kit.stroke(component, 0, 0.9, 0)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert np.abs(sound[:44]).max() > 0.03 * np.abs(sound).max()  # within a millisecond of contact
    assert abs(sound[-1]) < 1e-3 * np.abs(sound).max()


@pytest.mark.parametrize("component", CORE.components)
def test_soft_strokes_are_quieter_and_darker(kit, component):
    loud, soft = (np.mean([kit.stroke(component, 0, velocity, take)[:2646] ** 2 for take in range(TAKES)])
                  for velocity in (1.0, 0.25))  # fmt: skip
    assert loud > 10 * soft
    bright, dark = (np.mean([centroid_hz(kit.stroke(component, 0, velocity, take)) for take in range(TAKES)])
                    for velocity in (1.0, 0.25))  # fmt: skip
    assert bright > dark


def test_takes_of_a_stroke_differ_and_are_the_same_again(kit):
    again = Kit("kit", (5,), "cowbell", RATE)
    for component in reversed(CORE.components):  # whatever was asked for before
        first, second = (kit.stroke(component, 0, 0.8, take) for take in (0, 1))
        assert not np.array_equal(first, second)
        assert np.array_equal(second, again.stroke(component, 0, 0.8, 1))


def test_the_order_of_pitch_and_brightness_is_that_of_a_real_kit(kit):
    def mean(component):
        return np.mean([centroid_hz(kit.stroke(component, 0, 0.9, take)) for take in range(TAKES)])

    def pitch_hz(component):
        sound = kit.stroke(component, 0, 0.9, 0)[: RATE // 4]
        return np.argmax(np.abs(np.fft.rfft(sound, RATE)))

    assert pitch_hz("kick") < pitch_hz("tom_low") < pitch_hz("tom_mid") < pitch_hz("tom_high")
    assert mean("tom_high") < mean("snare")
    assert mean("china") < mean("crash") < mean("crash2") < mean("hihat_closed")
    assert mean("hihat_pedal") < mean("hihat_closed")
    assert mean("ride_bell") < mean("ride_bow")


def test_a_pedal_is_short_and_an_open_hat_long(kit):
    def seconds_above(component, variant, share=0.1):
        sound = np.abs(kit.stroke(component, variant, 0.9, 0))
        return np.flatnonzero(sound > share * sound.max())[-1] / RATE

    assert seconds_above("hihat_pedal", 0) < 0.1
    assert seconds_above("hihat_closed", 0) < 0.2
    half, wide = (seconds_above("hihat_open", variant) for variant in (0, 2))
    assert 0.2 < half < wide
    assert seconds_above("splash", 0) < seconds_above("crash2", 0) < seconds_above("crash", 0)


def test_second_pieces_are_spelt_as_aliases():
    for component, variant in (("china", 1), ("tom_low", 1)):
        label = spelling(component, variant)
        assert label != component
        assert CORE.resolve(label) == component
    assert spelling("china", 0) == "china"


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 200_000), st.integers(0, 1000))
def test_convolution_in_blocks_is_plain_convolution(samples, seed):
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal(samples).astype(np.float32)
    response = rng.standard_normal(400).astype(np.float32)
    places = rng.integers(0, samples, 20)
    padded = np.concatenate([np.zeros(399, np.float32), sound]).astype(np.float64)
    expected = [padded[place : place + 400][::-1] @ response for place in places]
    np.testing.assert_allclose(convolve(sound, response)[places], expected, atol=1e-3)


def test_a_room_answers_after_the_direct_sound_and_differently_left_and_right():
    left, right = (echoes(ROOM, channel, RATE) for channel in (0, 1))
    assert not left[: int(0.004 * RATE) - 1].any()
    assert np.sum(left.astype(float) ** 2) == pytest.approx(10 ** (-1.4), rel=1e-3)
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.3


def test_loudness_of_the_standard_s_reference_tone():
    # BS.1770-4: a 997 Hz sine at full scale in one front channel reads -3.01 LUFS.
    tone = np.sin(2 * np.pi * 997.0 * np.arange(4 * RATE) / RATE).astype(np.float32)
    silence = np.zeros_like(tone)
    assert integrated_loudness(np.stack([tone, silence]), RATE) == pytest.approx(-3.01, abs=0.05)
    assert integrated_loudness(np.stack([tone, tone]), RATE) == pytest.approx(0.0, abs=0.05)
    assert peak_dbfs(np.stack([tone])) == pytest.approx(0.0, abs=0.01)
    assert integrated_loudness(np.stack([silence]), RATE) == -70.0

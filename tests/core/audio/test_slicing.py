import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.audio.slicing import Window, clip_matrix, clip_views, fitted, onset_samples, pad
from beatsight_core.units import milliseconds_to_samples, seconds_to_samples


def naive_clip(samples: np.ndarray, onset: int, window: Window) -> np.ndarray:
    """Sample by sample, zeros outside."""
    positions = range(onset - window.pre, onset + window.tail)
    return np.array([samples[i] if 0 <= i < len(samples) else 0 for i in positions], samples.dtype)


windows = st.builds(
    Window.of,
    st.sampled_from([8000, 22050, 44100, 48000]),
    st.floats(0, 5, allow_nan=False),
    st.floats(0.2, 5, allow_nan=False),
)


@settings(max_examples=60)
@given(windows, st.integers(1, 400), st.data())
def test_every_clip_equals_the_naive_reference(window, length, data):
    samples = np.arange(1, length + 1, dtype=np.int16)
    onsets = np.array(data.draw(st.lists(st.integers(0, length), max_size=5)), np.int64)
    clips = clip_views(pad(samples, window), onsets, window)
    for onset, clip in zip(onsets, clips, strict=True):
        np.testing.assert_array_equal(clip, naive_clip(samples, onset, window))


@settings(max_examples=60)
@given(windows, st.floats(0, 0.05), st.integers(1, 3000))
def test_the_onset_lies_at_the_pre_roll_whatever_rate_and_place(window, onset_s, length):
    samples = np.zeros(length, np.float32)
    onset = min(seconds_to_samples(onset_s, window.rate_hz), length - 1)
    samples[onset] = 1.0
    (clip,) = clip_views(pad(samples, window), np.array([onset]), window)
    assert len(clip) == window.frames
    assert np.flatnonzero(clip).tolist() == [window.pre]


def test_defect_3_hits_near_start_and_end_keep_alignment_and_length():
    window = Window.of(44100, 80, 200)
    samples = np.ones(1000, np.int16)
    first, last = clip_views(pad(samples, window), np.array([0, 999]), window)
    assert len(first) == len(last) == window.frames == 12348
    assert first[: window.pre].max() == 0
    assert first[window.pre] == 1
    assert last[window.pre] == 1
    assert last[window.pre + 1 :].max() == 0


@settings(max_examples=60)
@given(st.lists(st.floats(0, 1e4), max_size=8), st.sampled_from([8000, 44100, 48000, 96000]))
def test_onset_samples_round_as_units_do(onsets, rate):
    expected = [seconds_to_samples(onset, rate) for onset in onsets]
    assert onset_samples(np.array(onsets, np.float64), rate).tolist() == expected


def test_the_window_is_in_the_rounding_of_units():
    window = Window.of(44100, 80, 200)
    assert (window.pre, window.tail) == (milliseconds_to_samples(80, 44100), milliseconds_to_samples(200, 44100))
    assert window.seconds == pytest.approx(0.28)


def test_clips_are_views():
    window = Window.of(8000, 1, 1)
    padded = pad(np.arange(20, dtype=np.int16), window)
    assert all(np.shares_memory(clip, padded) for clip in clip_views(padded, np.array([0, 3, 19]), window))


@pytest.mark.parametrize("onset", [-1, 21])
def test_an_onset_outside_the_audio_is_refused(onset):
    window = Window.of(8000, 1, 1)
    with pytest.raises(ValueError, match="onsets must lie in"):
        clip_views(pad(np.zeros(20, np.int16), window), np.array([onset]), window)
    with pytest.raises(ValueError, match="onsets must lie in"):
        clip_matrix(pad(np.zeros(20, np.int16), window), np.array([onset]), window)
    with pytest.raises(ValueError, match="the onset must lie in"):
        fitted(np.zeros((2, 20), np.int16), onset, window)


@settings(max_examples=60, deadline=None)
@given(windows, st.integers(1, 400), st.lists(st.floats(0, 1), max_size=6))
def test_a_matrix_of_clips_is_its_views_and_refitting_a_clip_changes_nothing(window, length, places):
    samples = np.random.default_rng(length).integers(-9, 9, length).astype(np.int16)
    onsets = np.array([round(place * length) for place in places], np.int64)
    matrix = clip_matrix(pad(samples, window), onsets, window)
    assert matrix.shape == (len(onsets), window.frames)
    assert [row.tolist() for row in matrix] == [c.tolist() for c in clip_views(pad(samples, window), onsets, window)]
    assert np.array_equal(fitted(matrix, window.pre, window), matrix)
    for row, onset in zip(matrix, onsets.tolist(), strict=True):
        assert np.array_equal(fitted(samples[None], onset, window)[0], row)

import numpy as np
import pytest

from beatsight_core.errors import InputError
from beatsight_core.inference import detect_onsets, read_onsets

RATE = 44100


def clicks(times, *, level=0.5, noise=0.0, seconds=None, rate=RATE, seed=0):
    rng = np.random.default_rng(seed)
    audio = rng.normal(0, noise or 1e-9, int((seconds or max(times) + 1) * rate))
    decay = np.exp(-np.arange(int(0.1 * rate)) / (0.012 * rate))
    for time in times:
        start = int(time * rate)
        audio[start : start + len(decay)] += level * rng.uniform(0.3, 1) * rng.normal(0, 1, len(decay)) * decay
    return audio.astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_clicks_are_found_within_ten_milliseconds_and_nothing_else(noise, rate):
    times = np.cumsum(np.random.default_rng(2).uniform(0.09, 0.4, 60)) + 0.2
    found = detect_onsets(clicks(times, noise=noise, rate=rate), rate)
    assert len(found) == len(times)
    assert np.abs(found - times).max() <= 0.010


@pytest.mark.parametrize("noise", [0.0005, 0.003, 0.01])
def test_noise_before_the_first_stroke_is_no_onset(noise):
    """The first sound of a recording is not an onset because nothing lies before it."""
    times = 3.0 + 0.3 * np.arange(20)
    found = detect_onsets(clicks(times, noise=noise, level=2.0), RATE)
    assert len(found) == len(times)
    assert found[0] >= 2.99


def test_a_recording_twenty_decibels_softer_has_the_same_onsets():
    audio = clicks(np.arange(1, 20) * 0.3, noise=0.001)
    assert np.allclose(detect_onsets(audio, RATE), detect_onsets(audio * 0.1, RATE))


def test_a_stroke_at_the_very_start_is_found():
    found = detect_onsets(clicks([0.0, 0.5]), RATE)
    assert len(found) == 2
    assert found[0] <= 0.010


@pytest.mark.parametrize("samples", [0, 1, 100, RATE])
def test_silence_has_no_onsets(samples):
    assert len(detect_onsets(np.zeros(samples, dtype=np.float32), RATE)) == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.txt", "1.5\n0.5\n\n# a note\n2.25 kick\n0.5\n"),
        ("table.csv", "hit,onset_time,label\na,0.5,kick\nb,1.5,snare\nc,2.25,\n"),
        ("bare.csv", "0.5,kick\n1.5,snare\n2.25,kick\n"),
        ("list.json", "[2.25, 0.5, 1.5]"),
        ("rows.json", '{"hits": [{"onset": 0.5}, {"onset": 1.5}, {"onset": 2.25}]}'),
    ],
)
def test_onsets_are_read_from_what_people_have(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    assert read_onsets(path).tolist() == [0.5, 1.5, 2.25]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "0.5\nsoon\n", "line 2"),
        ("a.txt", "0.5\n-1\n", "line 2"),
        ("a.csv", "onset\nnan\n", "line 2"),
        ("a.json", '[0.5, {"at": 1}]', "item 2"),
        ("a.json", '{"x": 1}', "not a list"),
        ("a.json", "[0.5", "not valid JSON"),
    ],
)
def test_what_is_not_a_time_is_named(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_onsets(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_onsets(tmp_path / "none.csv")

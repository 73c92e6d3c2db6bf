import io

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.audio.decoding import excerpts
from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.decoding.excerpts import decode_ranges, exact_frames, needed_ranges, worth_seeking
from beatsight_core.audio.decoding.opened_file import UnusableAudioError
from beatsight_core.audio.slicing import Window, clip_spans, clip_views, pad

RATE = 8000
LENGTH = 60_000


@pytest.fixture(autouse=True)
def small_scale(monkeypatch):
    """Seeks that cost little, and files that need not be large."""
    monkeypatch.setattr(excerpts, "LEAST_BYTES", 0)
    monkeypatch.setattr(excerpts, "SEEK_FRAMES", 500)


def encoded(kind: str, subtype: str, channels: int, frames: int = LENGTH) -> io.BytesIO:
    samples = np.random.default_rng(channels).uniform(-0.3, 0.3, (frames, channels))
    stream = io.BytesIO()
    sf.write(stream, samples, RATE, format=kind, subtype=subtype)
    return stream


FILES = [
    encoded("WAV", "PCM_16", 1), encoded("WAV", "PCM_16", 2), encoded("WAV", "PCM_24", 2), encoded("WAV", "FLOAT", 3),
    encoded("FLAC", "PCM_16", 1), encoded("FLAC", "PCM_16", 2), encoded("FLAC", "PCM_24", 1),
    encoded("AIFF", "PCM_16", 2), encoded("RF64", "PCM_24", 1), encoded("WAV", "PCM_U8", 1),
]  # fmt: skip
WHOLE = [decode(file.getvalue()).at_rate(RATE) for file in FILES]

onset_lists = st.lists(st.integers(0, LENGTH - 1), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, len(FILES) - 1), onset_lists, st.integers(0, 900), st.integers(1, 900))
def test_clips_of_parts_are_those_of_the_whole(number, onsets, pre, tail):
    window = Window(RATE, pre, tail)
    places = np.array(onsets, np.int64)
    assert exact_frames(FILES[number], RATE, "a") == LENGTH
    spans = clip_spans(places, pre, tail)
    found = np.full(LENGTH, 12345, np.int16)  # no sample is so loud
    for place, samples in decode_ranges(FILES[number], "a", needed_ranges(spans)):
        found[place : place + len(samples)] = samples
    parts = clip_views(pad(found, window), places, window)
    for part, clip in zip(parts, clip_views(pad(WHOLE[number], window), places, window), strict=True):
        np.testing.assert_array_equal(part, clip)


@settings(max_examples=60)
@given(onset_lists, st.integers(0, 900), st.integers(1, 900))
def test_ranges_are_apart_ascending_and_hold_every_clip(onsets, pre, tail):
    spans = clip_spans(np.array(onsets), pre, tail)
    ranges = needed_ranges(spans)
    assert (ranges[1:, 0] > ranges[:-1, 1] + excerpts.SEEK_FRAMES).all()
    for begin, end in spans.tolist():
        assert any(first <= begin and end <= last for first, last in ranges.tolist())
    assert ranges[0, 0] == spans[:, 0].min()
    assert ranges[:, 1].max() == spans[:, 1].max()


def test_no_clip_needs_no_range():
    ranges = needed_ranges(np.empty((0, 2), np.int64))
    assert worth_seeking(ranges, LENGTH)
    assert list(decode_ranges(FILES[0], "a", ranges)) == []


def test_seeking_is_worth_it_when_little_is_needed():
    few = needed_ranges(clip_spans(np.array([1000, 30_000]), 80, 200))
    assert worth_seeking(few, LENGTH)
    many = needed_ranges(clip_spans(np.arange(0, LENGTH, 900), 80, 200))
    assert not worth_seeking(many, LENGTH)


@pytest.mark.parametrize("kind", ["OGG", "MP3"])
def test_where_a_seek_is_not_exact_the_whole_is_decoded(kind):
    stream = io.BytesIO()
    sf.write(stream, np.zeros((LENGTH, 1)), RATE, format=kind)
    assert exact_frames(stream, RATE, "a") is None


def test_another_rate_a_cut_file_and_no_audio_are_left_to_the_whole_decoding():
    assert exact_frames(FILES[0], 44100, "a") is None
    for place in (0, 4):
        data = FILES[place].getvalue()
        assert exact_frames(io.BytesIO(data[: len(data) * 3 // 4]), RATE, "a") is None
    assert exact_frames(io.BytesIO(b"text" * 999), RATE, "a") is None


def test_a_range_that_does_not_decode_is_said_not_guessed():
    data = bytearray(FILES[4].getvalue())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    stream = io.BytesIO(bytes(data))
    with pytest.raises(UnusableAudioError):
        list(decode_ranges(stream, "a", np.array([[LENGTH // 2 - 2000, LENGTH // 2 + 2000]])))
    assert sum(len(samples) for _, samples in decode_ranges(stream, "a", np.array([[100, 900]]))) == 800


def test_samples_that_are_no_numbers_are_said():
    samples = np.zeros(LENGTH, np.float32)
    samples[500] = np.nan
    stream = io.BytesIO()
    sf.write(stream, samples, RATE, format="WAV", subtype="FLOAT")
    with pytest.raises(UnusableAudioError):
        list(decode_ranges(stream, "a", np.array([[400, 600]])))


def test_a_small_file_is_not_worth_the_question(monkeypatch):
    monkeypatch.setattr(excerpts, "LEAST_BYTES", 1 << 30)
    assert exact_frames(FILES[0], RATE, "a") is None

"""A file taken in blocks is the file taken whole, to the last bit: decoded, mixed down, resampled, rounded."""

import io

import numpy as np
import pytest
import soundfile as sf
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.audio.decoding import frames
from beatsight_core.audio.decoding.decode import decode, decode_at_rate, open_blocks
from beatsight_core.audio.decoding.frames import loudest_channel, sounds_in_a_channel
from beatsight_core.audio.decoding.polarity import CANCELLED, Polarity
from beatsight_core.audio.decoding.resample import QUALITY, Resampler, resample, to_float32, to_pcm16

RATES = (1000, 8000, 11025, 22050, 32000, 37800, 44056, 44100, 47999, 48000, 88200, 96000, 192000, 384000, 768000)


def encoded(samples, kind="WAV", subtype=None, rate=44100) -> bytes:
    stream = io.BytesIO()
    sf.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def in_blocks(data: bytes, rate: int, channel: str = "mix") -> np.ndarray:
    with open_blocks(io.BytesIO(data), "a", channel) as blocks:
        resampler = Resampler(blocks.header.rate_hz, rate)
        parts = [resampler.push(block) for block in blocks]
        return np.concatenate([*parts, resampler.finish()])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(RATES) | st.integers(1000, 768_000),
    st.sampled_from([8000, 22050, 44100, 48000]),
    st.integers(0, 40_000),
    st.lists(st.integers(1, 9000), min_size=1, max_size=6),
    st.integers(0, 99),
)
def test_resampling_in_blocks_of_any_sizes_gives_the_bits_of_one_pass(from_hz, to_hz, count, sizes, seed):
    count = min(count, 400_000 * from_hz // to_hz)
    samples = np.random.default_rng(seed).uniform(-1.2, 1.2, count).astype(np.float32)
    whole = to_pcm16(samples if from_hz == to_hz else soxr.resample(samples, from_hz, to_hz, quality=QUALITY))
    resampler = Resampler(from_hz, to_hz)
    parts, place, turn = [], 0, 0
    while place < count:
        size = sizes[turn % len(sizes)]
        parts.append(resampler.push(samples[place : place + size]))
        place, turn = place + size, turn + 1
    np.testing.assert_array_equal(np.concatenate([*parts, resampler.finish()]), whole)


def mean_of(decoded: np.ndarray) -> np.ndarray:
    mono = decoded[:, 0].copy()
    for channel in range(1, decoded.shape[1]):
        mono += decoded[:, channel]
    return mono * np.float32(1 / decoded.shape[1])


KINDS = [
    ("WAV", "PCM_16"), ("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"),
    ("AIFF", "PCM_32"), ("OGG", "VORBIS"), ("WAV", "IMA_ADPCM"), ("CAF", "ALAC_16"),
]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from([8000, 44100, 48000]), st.integers(1, 3), st.integers(1, 30_000),
       st.integers(1, 20_000))  # fmt: skip
def test_a_file_in_blocks_of_any_size_gives_the_bytes_of_the_whole(kind, rate, channels, count, block):
    channels = min(channels, 1 if kind[1] == "ALAC_16" else 2 if kind[0] == "WAV" else 3)
    samples = np.random.default_rng(count).uniform(-0.9, 0.9, (count, channels))
    data = encoded(samples, *kind, rate=rate)
    mono = mean_of(sf.read(io.BytesIO(data), dtype="float32", always_2d=True)[0])
    if kind[1] in ("PCM_16", "PCM_U8") and channels <= 2:  # the mean of these is a number of 16 bits, too
        mono = to_float32(to_pcm16(mono))
    whole = to_pcm16(mono if rate == 44100 else resample(mono, rate, 44100))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "BLOCK_FRAMES", block)
        np.testing.assert_array_equal(in_blocks(data, 44100), whole)


@pytest.mark.parametrize(("rate", "channels"), [(22050, 1), (16000, 1), (22050, 2), (44100, 1), (48000, 2)])
def test_an_mp3_is_what_soundfile_reads_of_it_at_once(rate, channels, noise):
    """A decoder that is moved after every block lacks what frames borrow from those before: 10 ms of noise a block."""
    data = encoded(noise(300_000, channels), "MP3", rate=rate)
    whole = mean_of(sf.read(io.BytesIO(data), dtype="float32", always_2d=True)[0])
    np.testing.assert_array_equal(decode(data).samples, whole)


def test_a_file_at_a_rate_is_what_the_whole_at_its_own_gives(tmp_path, noise):
    (tmp_path / "a.wav").write_bytes(encoded(noise(300_000, 2), subtype="PCM_24", rate=48000))
    samples, header, ending = decode_at_rate(tmp_path / "a.wav", 44100)
    np.testing.assert_array_equal(samples, decode(tmp_path / "a.wav").at_rate(44100))
    assert (header.rate_hz, ending.frames) == (48000, 300_000)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_one_channel_is_that_channel(subtype, channels, noise):
    samples = noise(9000, channels).reshape(9000, channels)
    samples[:, -1] *= 1.7
    data = encoded(samples, subtype=subtype)
    alone = {
        channel: decode(encoded(samples[:, channel], subtype=subtype)).at_rate(22050) for channel in range(channels)
    }
    for name, channel in (("left", 0), ("right", min(1, channels - 1)), ("loudest", channels - 1)):
        np.testing.assert_array_equal(in_blocks(data, 22050, name), alone[channel])


def test_the_loudest_channel_is_so_over_the_whole_file_and_of_equal_ones_the_first(monkeypatch):
    monkeypatch.setattr(frames, "BLOCK_FRAMES", 100)
    left, right = np.zeros(1000), np.full(1000, 0.1)
    left[:100] = 0.9  # loud at first, and softer in all
    assert loudest_channel(io.BytesIO(encoded(np.stack([left, right * 3], 1))), "a") == 1
    assert loudest_channel(io.BytesIO(encoded(np.stack([left, right * 2], 1))), "a") == 0
    assert loudest_channel(io.BytesIO(encoded(np.stack([right, -right, right], 1), subtype="FLOAT")), "a") == 0


def test_channels_that_cancel_each_other_are_told_from_silence(monkeypatch):
    monkeypatch.setattr(frames, "BLOCK_FRAMES", 128)
    time = np.arange(1000)
    one = np.where((time > 300) & (time < 600), 0.5, 0.0)
    stream = io.BytesIO(encoded(np.stack([one, -one], 1)))
    assert not decode(stream.getvalue()).samples.any()
    spans = np.array([[-50, 200], [100, 310], [500, 2000], [700, 900], [250, 650]])
    assert sounds_in_a_channel(stream, "a", spans).tolist() == [False, True, True, False, True]
    assert not sounds_in_a_channel(io.BytesIO(encoded(one)), "a", spans).any()


@pytest.mark.parametrize(
    ("second", "cancels"),
    [(lambda one: -one, True), (lambda one: -0.999 * one, True), (lambda one: one, False), (lambda one: 0 * one, False),
     (lambda one: np.roll(one, 7), False), (lambda one: -0.5 * one, False)],
)  # fmt: skip
def test_a_whole_file_says_whether_its_channels_cancel(second, cancels, noise):
    one = noise(20_000)
    polarity = Polarity()
    data = io.BytesIO(encoded(np.stack([one, second(one)], 1), subtype="PCM_24"))
    with open_blocks(data, "a", heard=polarity.hear) as blocks:
        assert sum(len(block) for block in blocks) == 20_000
    assert polarity.notice == (CANCELLED if cancels else "")


def test_many_channels_of_which_one_sounds_do_not_cancel(noise):
    samples = np.zeros((5000, 24))
    samples[:, 3] = noise(5000)
    polarity = Polarity()
    with open_blocks(io.BytesIO(encoded(samples)), "a", heard=polarity.hear) as blocks:
        list(blocks)
    assert polarity.notice == ""


def test_sixteen_bits_become_floats_exactly():
    every = np.arange(-32768, 32768, dtype=np.int16)
    np.testing.assert_array_equal(to_pcm16(to_float32(every)), every)

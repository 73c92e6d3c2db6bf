import io

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.audio.decode import decode
from beatsight_core.audio.resample import to_pcm16
from beatsight_core.errors import AudioError


def encoded(samples: np.ndarray, rate: int = 44100, kind: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    sf.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def test_16_bit_mono_comes_back_exactly():
    samples = np.random.default_rng(1).integers(-32768, 32767, 300_000, dtype=np.int16)
    for kind in ("WAV", "FLAC"):
        decoded = decode(encoded(samples, kind=kind))
        np.testing.assert_array_equal(decoded.samples, samples)
        assert (decoded.rate_hz, decoded.frames, decoded.is_truncated) == (44100, 300_000, False)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(-32768, 32767), st.integers(-32768, 32767)), min_size=1, max_size=20))
def test_the_integer_mean_rounds_as_the_way_over_float(pairs):
    samples = np.array(pairs, np.int16)
    mean = np.rint(samples.astype(np.float64).mean(axis=1))
    np.testing.assert_array_equal(decode(encoded(samples)).samples, mean)
    floats = (samples / 32768.0).astype(np.float32)
    np.testing.assert_array_equal(decode(encoded(floats, subtype="FLOAT")).at_rate(44100), mean)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_mono_is_the_mean_of_the_channels(channels, noise):
    samples = noise(3000, channels)
    expected = samples.reshape(3000, channels).mean(axis=1)
    decoded = decode(encoded(samples, subtype="PCM_24"))
    np.testing.assert_allclose(decoded.samples, expected, atol=2**-22)


def test_24_bit_48_khz_is_resampled_in_place():
    time = np.arange(48000) / 48000
    samples = 0.5 * np.sin(2 * np.pi * 440 * time)
    clip = decode(encoded(np.stack([samples, samples], 1), 48000, subtype="PCM_24")).at_rate(44100)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    assert clip.dtype == np.int16
    assert len(clip) == 44100
    np.testing.assert_allclose(clip[500:-500] / 32768, expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("rate", [8000, 22050, 32000, 48000, 96000])
def test_resampling_moves_no_click_by_more_than_a_sample(rate):
    samples = np.zeros(rate)
    samples[rate // 2] = 0.9
    clip = decode(encoded(samples, rate)).at_rate(44100)
    assert abs(int(np.argmax(np.abs(clip))) - 22050) <= 1


def test_loud_floats_are_clipped_not_wrapped():
    assert to_pcm16(np.array([2.0, -2.0, 1.0], np.float32)).tolist() == [32767, -32768, 32767]


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", None), ("AIFF", None)])
def test_a_cut_file_says_that_it_is_cut(kind, subtype, noise):
    data = encoded(noise(200_000), kind=kind, subtype=subtype)
    assert not decode(data).is_truncated
    cut = decode(data[: len(data) * 3 // 4])
    assert cut.is_truncated
    assert cut.declared_frames == 200_000
    assert 0 < cut.frames < 200_000


def test_a_file_broken_in_the_middle_counts_as_cut(noise):
    data = bytearray(encoded(noise(300_000), kind="FLAC"))
    data[len(data) // 2] ^= 0xFF
    assert decode(bytes(data)).is_truncated


def test_a_header_that_lies_about_its_length_takes_no_memory(noise):
    data = bytearray(encoded(noise(2000), kind="FLAC"))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4  # 2**36 - 1 frames
    assert decode(bytes(data)).is_truncated


def test_a_wav_stream_of_unknown_length_is_not_cut(noise):
    data = bytearray(encoded(noise(2000)))
    place = data.find(b"data") + 4
    data[place : place + 4] = b"\xff" * 4
    decoded = decode(bytes(data))
    assert (decoded.frames, decoded.is_truncated) == (2000, False)


def test_a_flac_stream_of_unknown_length_is_never_shortened_silently(noise):
    data = bytearray(encoded(noise(200_000), kind="FLAC"))
    data[21] &= 0xF0
    data[22:26] = b"\0" * 4
    with pytest.raises(AudioError, match="cannot be decoded"):
        decode(bytes(data))


@pytest.mark.parametrize("data", [b"", b"RIFF", b"not audio at all" * 10, b"fLaC" + b"\0" * 60])
def test_what_is_no_audio_is_an_error_that_names_the_file(data):
    with pytest.raises(AudioError) as error:
        decode(data, "songs/a.wav")
    assert error.value.where == "songs/a.wav"
    assert "0x" not in str(error.value)


def test_a_file_without_a_frame_is_an_error():
    with pytest.raises(AudioError, match="holds no audio"):
        decode(encoded(np.zeros(0)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_an_error(wrong, noise):
    samples = noise(100).astype(np.float32)
    samples[50] = wrong
    with pytest.raises(AudioError, match="not numbers"):
        decode(encoded(samples, subtype="FLOAT"))


def test_a_path_decodes_as_its_bytes(tmp_path, write_audio):
    path = write_audio(tmp_path / "a.flac")
    np.testing.assert_array_equal(decode(path).samples, decode(path.read_bytes()).samples)
    with pytest.raises(FileNotFoundError):
        decode(tmp_path / "b.flac")

import io

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.audio.decoding.decode import decode
from beatsight_core.audio.decoding.resample import to_pcm16
from beatsight_core.errors import AudioError
from beatsight_core.inference.sound import as_recording


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


@pytest.mark.parametrize(
    ("kind", "subtype", "reason"),
    [("WAV", "PCM_16", "past_end"), ("WAV", "PCM_24", "past_end"), ("RF64", "PCM_16", "past_end"),
     ("W64", "FLOAT", "past_end"), ("AIFF", None, "past_end"), ("CAF", "PCM_24", "past_end"), ("AU", None, "past_end"),
     ("FLAC", None, "truncated_audio")],
)  # fmt: skip
def test_of_a_cut_file_what_is_there_lies_where_it_belongs(kind, subtype, reason, noise):
    data = encoded(noise(200_000), kind=kind, subtype=subtype)
    whole = decode(data)
    assert not whole.is_truncated
    cut = decode(data[: len(data) * 3 // 4])
    assert cut.is_truncated
    assert cut.declared_frames == 200_000
    assert (cut.ending.frames, cut.ending.reason) == (cut.frames, reason)
    assert 140_000 < cut.frames < 151_000
    assert "promises 200,000 frames" in cut.ending.why or "of 200,000" in cut.ending.why
    np.testing.assert_array_equal(cut.samples, whole.samples[: cut.frames])


@pytest.mark.parametrize("place", [0.02, 0.5, 0.98])
def test_of_a_flac_that_is_broken_all_whole_frames_before_the_break_are_kept(place, noise):
    data = bytearray(encoded(noise(300_000), kind="FLAC"))
    whole = decode(bytes(data)).samples
    data[int(len(data) * place)] ^= 0xFF
    broken = decode(bytes(data))
    assert broken.is_truncated
    assert broken.ending.reason == "truncated_audio"
    assert 300_000 * place - 2 * 4096 < broken.frames <= 300_000 * place
    np.testing.assert_array_equal(broken.samples, whole[: broken.frames])


def test_a_header_that_lies_about_its_length_takes_no_memory(noise):
    data = bytearray(encoded(noise(2000), kind="FLAC"))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4  # 2**36 - 1 frames
    decoded = decode(bytes(data))
    assert decoded.is_truncated
    assert decoded.frames == 2000


def test_a_flac_stream_of_unknown_length_counts_as_far_as_it_decodes(noise):
    data = bytearray(encoded(noise(200_000), kind="FLAC"))
    data[21] &= 0xF0
    data[22:26] = b"\0" * 4
    decoded = decode(bytes(data))
    assert (decoded.frames, decoded.is_truncated, decoded.ending.as_written) == (200_000, False, False)
    cut = decode(bytes(data[: len(data) // 2]))
    assert 90_000 < cut.frames < 110_000
    assert cut.is_truncated


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


def test_samples_beyond_full_scale_are_clipped_without_a_word(noise):
    samples = (noise(1000) * 1990).astype(np.float32)
    for rate in (44100, 48000):
        clipped = decode(encoded(samples, rate, subtype="FLOAT")).at_rate(44100)
        assert (np.abs(clipped.astype(int)) >= 32767).mean() > 0.99


@pytest.mark.parametrize("scale", [32_768.0, 1e9, 1e38])
def test_samples_beyond_all_sound_are_something_else_that_was_read_as_floats(scale, noise):
    samples = (noise(1000) * scale).astype(np.float32)
    with pytest.raises(AudioError, match=r"beyond all sound \([\d,]+ times full scale\)"):
        decode(encoded(samples, subtype="FLOAT"))
    with pytest.raises(AudioError, match="times full scale"):
        as_recording(samples, 44100, 44100)


def test_infinities_that_cancel_are_no_numbers_either(noise):
    samples = noise(100, 3).astype(np.float32)
    samples[50] = np.inf, -np.inf, 3e38
    with pytest.raises(AudioError, match="not numbers"):
        decode(encoded(samples, subtype="FLOAT"))


def test_a_path_decodes_as_its_bytes(tmp_path, write_audio):
    path = write_audio(tmp_path / "a.flac")
    np.testing.assert_array_equal(decode(path).samples, decode(path.read_bytes()).samples)
    with pytest.raises(FileNotFoundError):
        decode(tmp_path / "b.flac")

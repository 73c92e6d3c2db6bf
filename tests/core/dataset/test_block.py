import io

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.audio.slicing import Window
from beatsight_core.dataset.shards.block import ClipBlock, peak_dbfs, rms_dbfs, wav_header
from beatsight_core.dataset.shards.shard_schema import ROW_GROUP

WINDOW = Window.of(22050, 2, 5)


def clips(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(-32768, 32767, (count, WINDOW.frames), dtype=np.int16))


@pytest.mark.parametrize("encoding", ["wav", "flac"])
@pytest.mark.parametrize("count", [1, 5, ROW_GROUP])
def test_each_row_is_a_whole_audio_file(encoding, count):
    block = ClipBlock(WINDOW, encoding)
    wanted = clips(count)
    block.add(wanted)
    assert block.room == ROW_GROUP - count
    for data, clip in zip(block.encoded().to_pylist(), wanted, strict=True):
        samples, rate = sf.read(io.BytesIO(data), dtype="int16")
        assert rate == WINDOW.rate_hz
        np.testing.assert_array_equal(samples, clip)


def test_a_block_is_used_again():
    block = ClipBlock(WINDOW, "wav")
    block.add(clips(3, seed=1))
    block.clear()
    block.add(clips(2, seed=2))
    np.testing.assert_array_equal(block.samples, clips(2, seed=2))


def test_the_header_is_that_of_a_wav_file():
    stream = io.BytesIO()
    sf.write(stream, np.zeros(WINDOW.frames, np.int16), WINDOW.rate_hz, format="WAV", subtype="PCM_16")
    assert wav_header(WINDOW.rate_hz, WINDOW.frames) == stream.getvalue()[:44]


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(-32768, 32767), min_size=8, max_size=8), min_size=1, max_size=4))
def test_levels_are_those_of_the_definition(rows):
    samples = np.array(rows, np.int16)
    floats = samples.astype(np.float64) / 32768
    for got, ratio in ((peak_dbfs(samples), np.abs(floats).max(1)), (rms_dbfs(samples), np.sqrt((floats**2).mean(1)))):
        with np.errstate(divide="ignore"):
            expected = np.maximum(20 * np.log10(ratio), -120)
        np.testing.assert_allclose(got, expected, atol=6e-4)


def test_levels_of_silence_and_of_full_scale():
    silence, full = np.zeros((1, 8), np.int16), np.full((1, 8), -32768, np.int16)
    assert peak_dbfs(silence)[0] == rms_dbfs(silence)[0] == -120
    assert peak_dbfs(full)[0] == rms_dbfs(full)[0] == 0

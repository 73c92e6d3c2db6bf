import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from beatsight_core.pages.raster import raster
from beatsight_core.pages.spectrogram import BANDS, COLUMNS, FLOOR_DB, band_decibels, spectrogram


def shown(png):
    """What a reader that is not ours sees: (rows, columns, 4)."""
    from matplotlib.image import imread

    return imread(io.BytesIO(png))


@settings(max_examples=30, deadline=None)
@given(
    values=arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.uint8]), arrays.array_shapes(min_dims=2, max_dims=2, max_side=40)
    )
)
def test_any_array_is_a_picture_of_its_size(values):
    assert shown(raster(values)).shape[:2] == values.shape


def test_the_first_row_is_below_and_more_is_brighter():
    values = np.zeros((128, 25), dtype=np.float16)
    values[0] = 1.0
    image = shown(raster(values))
    assert image[-1, :, :3].mean() > image[0, :, :3].mean()
    ramp = shown(raster(np.arange(256)[None, :]))[0, :, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(ramp) > -1e-3).all()


def test_what_is_not_finite_is_drawn_all_the_same():
    assert shown(raster(np.full((4, 4), -np.inf))).shape[:2] == (4, 4)
    assert shown(raster(np.array([[np.nan, np.inf, 1.0]]))).shape[:2] == (1, 3)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        raster(np.zeros(shape))


def test_a_picture_is_small():
    noise = np.random.default_rng(0).uniform(size=(BANDS, COLUMNS))
    assert len(raster(noise)) < 12_000
    assert zlib.crc32(raster(noise)) == zlib.crc32(raster(noise))


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_a_tone_is_seen_at_its_pitch_and_time(rate):
    time = np.arange(int(0.28 * rate)) / rate
    tone = np.where(time > 0.14, 12000 * np.sin(2 * np.pi * 1000 * time), 0).astype(np.int16)
    levels = band_decibels(tone, rate)
    edges = np.geomspace(45, min(16000, rate / 2), BANDS + 1)
    band, column = np.unravel_index(levels.argmax(), levels.shape)
    assert edges[band] / 1.1 < 1000 < edges[band + 1] * 1.1
    assert column > COLUMNS / 2
    assert levels[:, : COLUMNS // 3].max() == FLOOR_DB


@pytest.mark.parametrize("samples", [0, 1, 7, 300])
def test_silence_and_tiny_sounds_are_pictures(samples):
    assert (band_decibels(np.zeros(samples, np.int16), 44100) == FLOOR_DB).all()
    assert shown(spectrogram(np.full(samples, 30000, np.int16), 44100)).shape[:2] == (BANDS, COLUMNS)

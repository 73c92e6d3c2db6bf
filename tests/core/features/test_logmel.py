import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.errors import DeviceError
from beatsight_core.features.logmel import CUDA_BATCH, LogMel, cuda_batch, features_of, to_decibels
from beatsight_core.features.spec import FeatureSpec

CPU = torch.device("cpu")
SPEC = FeatureSpec(
    sample_rate_hz=8000, pre_ms=20.0, tail_ms=60.0, n_fft=256, hop_length=128, n_mels=16, f_min_hz=20.0,
    f_max_hz=4000.0, storage="float16",
)  # fmt: skip


def reference_decibels(clips, spec):
    """The same by NumPy alone: periodic Hann, reflected edges, Slaney's mel scale (linear up to 1 kHz)."""
    half = spec.n_fft // 2
    padded = np.pad(clips, ((0, 0), (half, half)), mode="reflect")
    starts = np.arange(spec.frames) * spec.hop_length
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.n_fft) / spec.n_fft)
    frames = padded[:, starts[:, None] + np.arange(spec.n_fft)] * window
    power = np.abs(np.fft.rfft(frames)) ** 2

    def to_mel(hertz):
        return np.where(hertz < 1000, 3 * hertz / 200, 15 + 27 * np.log(np.maximum(hertz, 1) / 1000) / np.log(6.4))

    def to_hertz(mel):
        return np.where(mel < 15, 200 * mel / 3, 1000 * np.exp(np.log(6.4) * (mel - 15) / 27))

    edges = to_hertz(np.linspace(to_mel(spec.f_min_hz), to_mel(spec.f_max_hz), spec.n_mels + 2))
    bins = np.linspace(0, spec.sample_rate_hz / 2, half + 1)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    mel = (power @ np.maximum(0, np.minimum(rising, falling))).transpose(0, 2, 1)
    return np.maximum(10 * np.log10(mel / mel.max(axis=(1, 2), keepdims=True)), spec.floor_db)


def test_agrees_with_an_independent_computation(strokes):
    clips = strokes / 32768.0
    got = LogMel(SPEC)(torch.from_numpy(clips.astype(np.float32))).numpy()
    assert got.shape == (20, 16, 6)
    assert got == pytest.approx(reference_decibels(clips, SPEC), abs=0.01)


@settings(max_examples=20, deadline=None)
@given(gain_db=st.floats(-60.0, 60.0), seed=st.integers(0, 100))
def test_level_does_not_show(gain_db, seed):
    clips = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 640)).astype(np.float32)) * 0.1
    logmel = LogMel(SPEC)
    assert torch.allclose(logmel(clips), logmel(clips * 10 ** (gain_db / 20)), atol=1e-3)


def test_a_recording_17_db_louder_has_the_same_features(strokes):
    logmel = LogMel(SPEC)
    louder = np.round(strokes.astype(float) * 10 ** (17 / 20)).astype(np.int16)
    assert np.abs(louder).max() < 32767
    quiet, loud = (features_of(logmel, clips, CPU).astype(float) for clips in (strokes, louder))
    assert np.abs(quiet - loud)[quiet > -50].max() < 0.5  # what rounding to 16 bits does to the quiet one
    assert np.abs(quiet - loud).mean() < 0.1


def test_silence_is_all_floor():
    silent = features_of(LogMel(SPEC), np.zeros((1, 640), np.int16), CPU)
    assert (silent == -80.0).all()


def test_a_clip_does_not_depend_on_its_batch(strokes):
    logmel = LogMel(SPEC)
    together = features_of(logmel, strokes, CPU).astype(float)
    alone = np.concatenate([features_of(logmel, strokes[i : i + 1], CPU) for i in range(len(strokes))]).astype(float)
    assert together == pytest.approx(alone, abs=0.07)  # one step of half precision near -80


def test_eight_bits_lose_a_sixth_of_a_decibel(strokes):
    halves = features_of(LogMel(SPEC), strokes, CPU)
    bytes_ = features_of(LogMel(dataclasses.replace(SPEC, storage="uint8")), strokes, CPU)
    assert (halves.dtype, bytes_.dtype) == (np.float16, np.uint8)
    decoded = to_decibels(torch.from_numpy(bytes_), SPEC.floor_db).numpy()
    assert decoded == pytest.approx(halves.astype(float), abs=0.16 + 0.04)
    assert decoded == pytest.approx(SPEC.to_decibels(bytes_), abs=1e-5)  # one rounding of float32 at 80


@pytest.mark.parametrize("storage", ["float16", "uint8"])
def test_threads_do_not_show(strokes, storage):
    clips = np.concatenate([strokes] * 5)
    before = torch.get_num_threads()
    try:
        made = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            made.append(features_of(LogMel(dataclasses.replace(SPEC, storage=storage)), clips, CPU).tobytes())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(set(made)) == 1


def test_clips_may_be_read_only_and_lie_apart(strokes):
    wide = np.zeros((20, 700), np.int16)
    wide[:, 22:662] = strokes
    apart = wide[:, 22:662]
    apart.flags.writeable = False
    assert np.array_equal(features_of(LogMel(SPEC), apart, CPU), features_of(LogMel(SPEC), strokes, CPU))


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "cuda has too little free memory for"),
        (torch.AcceleratorError("CUDA error: out of memory"), "cuda has too little free memory for"),  # pinned memory
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "kernel on the GPU crashed"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_failure_of_cuda_says_what_to_do_and_one_of_the_program_stays(failure, says, strokes, monkeypatch):
    def fail(*_, **__):
        raise failure

    logmel = LogMel(SPEC)
    monkeypatch.setattr(torch, "empty", fail)
    with pytest.raises(DeviceError if says else RuntimeError, match=says) as caught:
        features_of(logmel, strokes, torch.device("cuda"))
    assert caught.value is failure if says is None else caught.value.__cause__ is failure


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("storage", ["float16", "uint8"])
def test_a_cuda_device_makes_the_same_within_a_step(strokes, storage):
    spec, device = dataclasses.replace(SPEC, storage=storage), torch.device("cuda")
    clips = np.concatenate([strokes] * 70)  # more than one batch
    clips.flags.writeable = False
    here, there = features_of(LogMel(spec), clips, CPU), features_of(LogMel(spec).to(device), clips, device)
    assert there.dtype == here.dtype
    assert spec.to_decibels(there) == pytest.approx(spec.to_decibels(here), abs=0.32 if storage == "uint8" else 0.07)
    floats = features_of(LogMel(spec).to(device), clips / np.float32(32768), device)
    assert spec.to_decibels(floats) == pytest.approx(spec.to_decibels(there), abs=0.32)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_batch_fits_into_the_memory_that_is_free():
    device = torch.device("cuda")
    large = dataclasses.replace(SPEC, sample_rate_hz=48000, tail_ms=2000.0, n_fft=1 << 16, hop_length=1)
    assert 1 <= cuda_batch(large, device) < cuda_batch(SPEC, device) == CUDA_BATCH

"""Predictions do not depend on how many clips the device has memory for."""

import numpy as np
import pytest
import torch

from beatsight_core.training import predicting
from beatsight_core.training.data.batches import load_clips
from beatsight_core.training.net.build_net import build_model
from beatsight_core.training.predicting import predict_clips

CPU = torch.device("cpu")


class Short(torch.nn.Module):
    """Has memory for `most` clips, and counts the passes."""

    def __init__(self, inner, most, error):
        super().__init__()
        self.inner, self.most, self.error, self.sizes = inner, most, error, []

    def forward(self, decibels):
        self.sizes.append(len(decibels))
        if len(decibels) > self.most and len(self.sizes) > 1:  # the first fits by luck
            raise self.error
        return self.inner(decibels)


@pytest.fixture(params=["device", "host", "map"])
def clips(features, request):
    return load_clips(features, features.rows_of("train"), CPU, residence=request.param)


@pytest.fixture
def net(features):
    return build_model("cnn_small", features.spec, len(features.classes)).eval()


def in_turn(net, clips, size):
    with torch.inference_mode():
        return torch.cat(predicting._predict_in_turn(net, clips, size)).numpy()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_shortage_halves_what_is_left_and_loses_nothing(net, clips, caplog, error):
    expected = predict_clips(net, clips)
    short = Short(net, 8, error)
    assert np.allclose(in_turn(short, clips, 32), expected, atol=1e-6)
    assert short.sizes[:4] == [32, 32, 16, 8]
    assert sum(size for size in short.sizes if size <= 8) + 32 == len(clips)
    assert "predicts 16 clips at a time" in caplog.text
    assert "predicts 8 clips at a time" in caplog.text


def test_a_device_too_small_for_one_clip_is_an_error(net, clips):
    with pytest.raises(torch.OutOfMemoryError):
        in_turn(Short(net, 0, torch.OutOfMemoryError("CUDA out of memory.")), clips, 4)


def test_other_errors_are_not_taken_for_a_shortage(net, clips):
    broken = Short(net, 0, RuntimeError("size mismatch"))
    with pytest.raises(RuntimeError, match="size mismatch"):
        in_turn(broken, clips, 4)
    assert broken.sizes == [4, 4]

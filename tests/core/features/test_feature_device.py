import sys
import warnings

import pytest
import torch

from beatsight_core.errors import DeviceError, UsageError
from beatsight_core.features.device import torch_device
from tests.core.compute.fake_driver import FakeGpu, FakeNvml

ABSENT = f"cuda:{torch.cuda.device_count()}"


@pytest.fixture
def gpu_unseen(monkeypatch):
    """A GPU with the driver of CUDA 12.7, and a torch for CUDA 13 that warns and sees nothing."""

    def unavailable():
        warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old", stacklevel=2)
        return False

    driver = FakeNvml(FakeGpu("GPU-aaaa1111", "NVIDIA GeForce RTX 3080 Ti"))
    monkeypatch.setattr(driver, "nvmlSystemGetCudaDriverVersion", lambda: 12070)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", unavailable)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setenv("BEATSIGHT_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_the_cpu_is_always_there():
    assert torch_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_is_cuda_where_torch_sees_some():
    assert torch_device("auto").type == "cuda"


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_where_there_is_no_gpu():
    assert torch_device("auto") == torch.device("cpu")


@pytest.mark.usefixtures("gpu_unseen")
@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:3"])
def test_a_gpu_that_torch_cannot_use_is_an_error_and_never_the_cpu(name):
    with pytest.raises(DeviceError, match="needs driver 580 or newer") as caught:
        torch_device(name)
    assert "NVIDIA GeForce RTX 3080 Ti" in str(caught.value)
    assert torch_device("cpu") == torch.device("cpu")  # on purpose


@pytest.mark.usefixtures("gpu_unseen")
def test_a_hidden_gpu_is_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert torch_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("torch_cuda", [None, "13.0"])
def test_a_lease_is_strict_even_for_a_device_in_name_only(torch_cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", torch_cuda)
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0")
    assert torch_device("auto") == torch.device("cpu")
    monkeypatch.setenv("BEATSIGHT_LEASED", "0")
    with pytest.raises(DeviceError, match="Torch cannot use device 0"):
        torch_device("auto")
    assert torch_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("BEATSIGHT_LEASED", "")  # started without a device, and shown none
    monkeypatch.setenv("BEATSIGHT_DEVICES", "")
    assert torch_device("auto") == torch.device("cpu")


def test_an_absent_device_is_an_error(monkeypatch):
    if not torch.cuda.is_available():
        monkeypatch.setenv("BEATSIGHT_DEVICES", "")
    with pytest.raises(DeviceError, match="CUDA devices are visible") as caught:
        torch_device(ABSENT)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:first", "auto:1", ""])
def test_an_unknown_name_is_a_usage_error(name):
    with pytest.raises(UsageError, match="no device"):
        torch_device(name)

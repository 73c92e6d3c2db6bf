import pytest
import torch

from beatsight_core.errors import DeviceError, UsageError
from beatsight_core.features.device import torch_device

ABSENT = f"cuda:{torch.cuda.device_count()}"


def test_the_cpu_is_always_there():
    assert torch_device("cpu") == torch.device("cpu")


def test_auto_is_cuda_only_where_there_is_some():
    assert torch_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_an_absent_device_is_an_error():
    with pytest.raises(DeviceError, match="CUDA devices are visible") as caught:
        torch_device(ABSENT)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:first", "auto:1", ""])
def test_an_unknown_name_is_a_usage_error(name):
    with pytest.raises(UsageError, match="no device"):
        torch_device(name)

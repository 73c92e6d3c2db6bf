"""Why torch cannot use the GPUs that are here: one answer for verbs, Dagster and the doctor."""

import sys
import warnings

import pytest
import torch

from beatsight_core.compute.cuda_support import (
    TorchView,
    cuda_problem,
    cudnn_version,
    device_problem,
    expected_devices,
    look_at_torch,
)
from beatsight_core.compute.devices import Device
from tests.core.compute.fake_driver import FakeGpu, FakeNvml

GPU = Device("0", "NVIDIA GeForce RTX 3080 Ti", 12 * 2**30, 0, "566.03", "GPU-aaaa1111")
OLD = {"driver": "566.03", "cuda": "12.7", "source": "nvml"}
NEW = {"driver": "580.65.06", "cuda": "13.0", "source": "nvml"}
UNKNOWN = {"driver": None, "cuda": None, "source": None}
TOO_OLD = "CUDA initialization: The NVIDIA driver on your system is too old (found version 12070)."


@pytest.mark.parametrize(
    ("driver", "view", "says"),
    [
        pytest.param(
            OLD,
            TorchView("2.13.0+cu130", "13.0", 0, TOO_OLD),
            (
                "Driver 566.03 supports CUDA 12.7, and torch 2.13.0+cu130 is built for CUDA 13.0, which needs driver",
                "update to driver 580 or newer, or install the torch that is built for CUDA 12 (docs/gpu.md says how)",
            ),
            id="old driver",
        ),
        pytest.param(
            OLD, TorchView("2.13.0+cu130", "13.0"), ("566.03", "needs driver 580"), id="old driver, torch not asked"
        ),
        pytest.param(
            {**OLD, "driver": "470.1", "cuda": "11.4"},
            TorchView("2.13.0+cu126", "12.6", 0),
            ("supports CUDA 11.4", "needs driver 525 (528 under Windows and WSL) or newer"),
            id="very old driver",
        ),
        pytest.param(
            {**NEW, "cuda": "13.1"}, TorchView("3.0", "14.0", 0), ("needs a newer driver",), id="CUDA of the future"
        ),
        pytest.param(
            OLD,
            TorchView("2.13.0+cpu", None, 0),
            ("torch 2.13.0+cpu is built for the CPU, and driver 566.03 supports CUDA 12.7", "built for CUDA 12 (docs"),
            id="build for the CPU, old driver",
        ),
        pytest.param(
            NEW, TorchView("2.13.0+cpu", None), ("built for the CPU", "built for CUDA 13 (docs"), id="build for the CPU"
        ),
        pytest.param(
            {**OLD, "cuda": "11.4"},
            TorchView("2.13.0+cpu", None),
            ("update the driver to 580 or newer and install the torch that is built for CUDA 13",),
            id="build for the CPU, very old driver",
        ),
        pytest.param(
            NEW,
            TorchView("2.13.0", "13.0", 0, "Error 802: system not yet initialized"),
            ("torch sees no device", "torch says: Error 802: system not yet initialized", "nvidia-smi"),
            id="versions fit, and torch fails",
        ),
        pytest.param(
            UNKNOWN,
            TorchView("2.13.0", "13.0", 0),
            ("No driver is known to NVML or nvidia-smi", "torch gives no reason"),
            id="leased, and no driver at all",
        ),
    ],
)
def test_the_error_names_both_versions_and_the_ways_out(driver, view, says, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    problem = cuda_problem([GPU], driver, view)
    assert problem is not None
    assert problem.exit_code == 2
    assert problem.what == "Torch cannot use device 0 (NVIDIA GeForce RTX 3080 Ti)"
    paragraph = str(problem)
    for part in says:
        assert part.lower() in paragraph.lower()
    assert "--device cpu (in Dagster `device: cpu`)" in paragraph


@pytest.mark.parametrize(
    ("devices", "driver", "view"),
    [
        pytest.param([], OLD, TorchView("2.13.0", "13.0", 0), id="no device"),
        pytest.param([GPU], OLD, TorchView("2.13.0", "13.0", 1), id="torch sees one, whatever the versions say"),
        pytest.param([GPU], NEW, TorchView("2.13.0", "13.0"), id="versions fit, torch not asked"),
        pytest.param([GPU], NEW, TorchView("2.13.0+cu126", "12.6"), id="an older CUDA on a newer driver"),
        pytest.param(
            [GPU], {**OLD, "cuda": "12.0"}, TorchView("2.13.0+cu126", "12.6"), id="12.6 on the first driver of 12"
        ),
        pytest.param([GPU], UNKNOWN, TorchView("2.13.0", "13.0"), id="versions unknown, torch not asked"),
    ],
)
def test_where_torch_may_work_nothing_is_said(devices, driver, view):
    assert cuda_problem(devices, driver, view) is None


def test_a_variable_that_hides_the_device_is_quoted(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    problem = cuda_problem([GPU, GPU], NEW, TorchView("2.13.0", "13.0", 0))
    assert "CUDA_VISIBLE_DEVICES is '7'" in str(problem)
    assert "the devices 0 (NVIDIA GeForce RTX 3080 Ti), 0" in str(problem)


def test_what_torch_warns_of_is_kept_and_not_shown(monkeypatch):
    def unavailable():
        warnings.warn(f"{TOO_OLD} (Triggered internally at c10/cuda/CUDAFunctions.cpp:119.)", stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", unavailable)  # a warning that comes through is an error here
    view = look_at_torch()
    assert (view.sees, view.said) == (0, TOO_OLD)
    assert view.version == torch.__version__


def test_torch_is_not_asked_unless_wanted(monkeypatch):
    def asked():
        raise AssertionError("CUDA is initialised")

    monkeypatch.setattr(torch.cuda, "is_available", asked)
    assert look_at_torch(ask=False).sees is None


def test_devices_in_name_only_count_under_a_lease_alone(monkeypatch):
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0,1")
    view = TorchView("2.13.0+cpu", None, 0)
    assert expected_devices() == []
    assert device_problem(view) is None
    monkeypatch.setenv("BEATSIGHT_LEASED", "0")
    assert [device.index for device in expected_devices()] == ["0", "1"]
    assert "built for the CPU" in str(device_problem(view))
    monkeypatch.setenv("BEATSIGHT_DEVICES", "")  # the lease counts even if nobody lists its device
    assert [device.index for device in expected_devices()] == ["0"]


def test_a_device_that_the_driver_lists_counts_without_a_lease(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(FakeGpu("GPU-aaaa1111")))
    assert "driver 580.65.06 supports CUDA 13.0" in str(device_problem(TorchView("2.13.0+cpu", None, 0)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # hidden on purpose
    assert device_problem(TorchView("2.13.0+cpu", None, 0)) is None


@pytest.mark.parametrize("error", [RuntimeError, AssertionError, OSError])
def test_a_refused_cudnn_is_told_and_raises_nothing(error, monkeypatch):
    def refused():
        raise error("\ncuDNN version incompatibility: PyTorch was compiled against (9, 13, 0)\nmore")

    monkeypatch.setattr(torch.backends.cudnn, "version", refused)
    assert cudnn_version() == (None, "cuDNN version incompatibility: PyTorch was compiled against (9, 13, 0)")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91300)
    assert cudnn_version() == (91300, None)

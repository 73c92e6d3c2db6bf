"""Which devices are found, and under which names."""

from pathlib import Path

import pytest

from beatsight_core.compute.devices import Device, discover_devices, driver_versions, parse_smi

LISTING = """\
0, GPU-aaaa1111, NVIDIA H200, 143771, 512, 570.86.15
1, GPU-bbbb2222, NVIDIA RTX 3080 Ti, 12288, [N/A], 570.86.15
"""


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `nvidia-smi` that answers as the real one does."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    script = f'#!/bin/sh\nif [ $# = 0 ]; then echo "| CUDA Version: 12.8 |"; else cat <<EOF\n{LISTING}EOF\nfi\n'
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    pynvml = pytest.importorskip("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return program
    pytest.skip("this machine has a driver of its own")


def test_the_variable_names_devices_that_need_not_exist() -> None:
    devices = discover_devices({"BEATSIGHT_DEVICES": "7, gpu-b 7"})
    assert [device.index for device in devices] == ["7", "gpu-b"]
    assert all(device.memory_total == 0 and device.used_share == 0.0 for device in devices)


def test_an_empty_variable_means_no_device() -> None:
    assert discover_devices({"BEATSIGHT_DEVICES": ""}) == []


def test_a_listing_becomes_devices() -> None:
    first, second = parse_smi(LISTING)
    assert first == Device("0", "NVIDIA H200", 143771 * 2**20, 512 * 2**20, "570.86.15", "GPU-aaaa1111")
    assert second.memory_used == 0
    assert parse_smi("No devices were found") == []


def test_the_driver_is_asked_where_nothing_is_set(smi: Path) -> None:
    assert [device.index for device in discover_devices({})] == ["0", "1"]
    assert driver_versions() == {"driver": "570.86.15", "cuda": "12.8", "source": "nvidia-smi"}


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("1", ["1"]), ("1,0", ["1", "0"]), ("GPU-bbbb", ["1"]), ("0,9,1", ["0"]), ("-1", []), ("", [])],
)
def test_cuda_visible_devices_narrows_as_cuda_reads_it(smi: Path, visible: str, expected: list[str]) -> None:
    assert [device.index for device in discover_devices({"CUDA_VISIBLE_DEVICES": visible})] == expected


@pytest.mark.parametrize("named", ["", "-1"])
def test_none_may_be_named(smi: Path, named: str) -> None:
    assert discover_devices({"BEATSIGHT_DEVICES": named}) == []


def test_a_named_device_that_exists_keeps_its_memory(smi: Path) -> None:
    (device,) = discover_devices({"BEATSIGHT_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "0"})
    assert device.name == "NVIDIA RTX 3080 Ti"
    assert device.to_json()["uuid"] == "GPU-bbbb2222"


def test_a_driver_that_fails_is_no_driver(smi: Path) -> None:
    smi.write_text("#!/bin/sh\necho 'Failed to initialize NVML' >&2\nexit 9\n")
    assert discover_devices({}) == []
    assert driver_versions() == {"driver": None, "cuda": None, "source": None}

"""Which devices are found, and under which names."""

import sys
from pathlib import Path

import pytest

from beatsight_core.compute import smi as smi_module
from beatsight_core.compute import torch_devices
from beatsight_core.compute.brief_process import output_of
from beatsight_core.compute.devices import Device, discover_devices, driver_versions
from beatsight_core.compute.smi import parse_smi
from tests.core.compute.fake_driver import GIB, FakeGpu, FakeNvml, ask_anew, install, install_torch, no_driver

LISTING = """\
GPU-aaaa1111, NVIDIA H200, 143771, 512, 570.86.15
GPU-bbbb2222, NVIDIA RTX 3080 Ti, 12288, [N/A], 570.86.15
"""
BY_BUS = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

A, B = FakeGpu("GPU-aaaa1111"), FakeGpu("GPU-bbbb2222")
SLOW, FAST = FakeGpu("GPU-5109", "NVIDIA T4"), FakeGpu("GPU-fa57", "NVIDIA H200")
HIDDEN = [FakeGpu(f"GPU-other{number}", refuses=frozenset({"open"})) for number in range(3)]
SMALL, LARGE = FakeGpu("MIG-5a11", "NVIDIA H200 MIG 1g.18gb", 18 * GIB), FakeGpu("MIG-1a26", total=71 * GIB)
SPLIT = FakeGpu("GPU-5p117", mig=True, instances=(SMALL, LARGE))


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test asks anew, and none asks the torch of this machine by accident."""
    monkeypatch.setattr(torch_devices, "could_see_devices", lambda: False)
    ask_anew(monkeypatch)


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `nvidia-smi` that answers as the real one does, and no NVML."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    fields = "uuid,name,memory.total,memory.used,driver_version"
    answers = (
        f'if [ $# = 0 ]; then echo "| CUDA Version: 12.8 |"\nelif [ "$1" = --query-gpu={fields} ]; then cat <<EOF\n'
    )
    program.write_text(f"#!/bin/sh\n{answers}{LISTING}EOF\nfi\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    return program


def names(environment: dict[str, str]) -> list[str]:
    """Index and UUID of what is found, where they differ."""
    found = discover_devices(environment)
    return [d.index if d.index == d.uuid else f"{d.index} {d.uuid}".strip() for d in found]


def test_the_variable_names_devices_that_need_not_exist() -> None:
    devices = discover_devices({"BEATSIGHT_DEVICES": "7, gpu-b 7"})
    assert [device.index for device in devices] == ["7", "gpu-b"]
    assert all(device.memory_total == 0 and device.used_share == 0.0 for device in devices)


def test_an_empty_variable_means_no_device() -> None:
    assert discover_devices({"BEATSIGHT_DEVICES": ""}) == []


def test_a_listing_becomes_devices_numbered_as_they_come() -> None:
    first, second = parse_smi(LISTING)
    assert first == Device("0", "NVIDIA H200", 143771 * 2**20, 512 * 2**20, "570.86.15", "GPU-aaaa1111")
    assert (second.index, second.memory_used) == ("1", 0)
    lost = "Unable to determine the device handle for GPU0: GPU is lost\n"
    assert [device.index for device in parse_smi(lost + LISTING)] == ["0", "1"]
    assert parse_smi("No devices were found") == []
    assert parse_smi("[N/A], Orin, [N/A], [N/A], 540.3")[0].uuid == ""


def test_nvidia_smi_is_asked_where_there_is_no_nvml(smi: Path) -> None:
    assert names({}) == ["0 GPU-aaaa1111", "1 GPU-bbbb2222"]
    assert driver_versions() == {"driver": "570.86.15", "cuda": "12.8", "source": "nvidia-smi"}


def test_nvidia_smi_is_asked_where_nvml_lists_nothing(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(*HIDDEN))
    assert names({}) == ["0 GPU-aaaa1111", "1 GPU-bbbb2222"]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        *[("1", ["1"]), ("1,0", ["1", "0"]), ("GPU-bbbb", ["1"]), ("0,9,1", ["0"]), ("0,-1,1", ["0"]), (" 1 ,0", "10")],
        *[("-1", []), ("", []), ("none", []), ("void", []), ("NoDevFiles", []), ("all", []), (",0", [])],
        *[("1,1", ["1"]), ("GPU-bbbb,GPU-bbbb", ["1"]), ("GPU-bbbb2222,1,GPU-aaaa", ["1", "0"]), ("1,0,1", ["1", "0"])],
        ("01x,+0", ["1", "0"]),
    ],
)
def test_cuda_visible_devices_narrows_as_cuda_reads_it(smi: Path, visible: str, expected: list[str]) -> None:
    found = discover_devices({"CUDA_VISIBLE_DEVICES": visible, **BY_BUS})
    assert [device.index for device in found] == list(expected)


@pytest.mark.parametrize("named", ["", "-1"])
def test_none_may_be_named(smi: Path, named: str) -> None:
    assert discover_devices({"BEATSIGHT_DEVICES": named}) == []


def test_a_named_device_that_exists_keeps_its_memory(smi: Path) -> None:
    (device,) = discover_devices({"BEATSIGHT_DEVICES": "1, GPU-bbbb", "CUDA_VISIBLE_DEVICES": "0"})
    assert device.name == "NVIDIA RTX 3080 Ti"
    assert device.to_json()["uuid"] == "GPU-bbbb2222"


def test_a_driver_that_fails_is_no_driver(smi: Path) -> None:
    smi.write_text("#!/bin/sh\necho 'Failed to initialize NVML' >&2\nexit 9\n")
    assert discover_devices({}) == []
    assert driver_versions() == {"driver": None, "cuda": None, "source": None}


def test_a_driver_that_hangs_is_no_driver(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smi_module, "TIMEOUT_S", 0.1)
    smi.write_text("#!/bin/sh\nsleep 5\n")  # which keeps the output open when its parent is killed
    assert discover_devices({}) == []


def test_a_short_process_says_nothing_if_it_fails() -> None:
    assert output_of([sys.executable, "-c", "print('told')"], 60.0) == "told\n"
    assert output_of([sys.executable, "-c", "print('told'); raise SystemExit(1)"], 60.0) is None
    assert output_of(["/nowhere/nvidia-smi"], 60.0) is None


def test_the_fake_asks_as_the_real_module_does() -> None:
    pynvml = pytest.importorskip("pynvml")
    questions = [name for name in dir(FakeNvml) if name.lower().startswith("nvml")]
    assert len(questions) > 10
    assert [name for name in questions if not hasattr(pynvml, name)] == []


@pytest.mark.parametrize("text", [str, str.encode])
def test_nvml_tells_the_devices_of_the_machine(text: object, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = install(monkeypatch, FakeGpu("GPU-1", "NVIDIA RTX 3080 Ti", 12 * GIB, 3 * GIB), B, text=text)
    first, second = discover_devices({})
    assert first == Device("0", "NVIDIA RTX 3080 Ti", 12 * GIB, 3 * GIB, "580.65.06", "GPU-1")
    assert second.index == "1"
    assert driver_versions() == {"driver": "580.65.06", "cuda": "13.0", "source": "nvml"}
    assert nvml.opened == 0


def test_devices_of_others_are_left_out_of_list_and_numbering(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, HIDDEN[0], A, HIDDEN[1], HIDDEN[2], B)
    assert names({}) == ["0 GPU-aaaa1111", "1 GPU-bbbb2222"]
    assert names({"CUDA_VISIBLE_DEVICES": "0"}) == ["0 GPU-aaaa1111"]
    assert names({"CUDA_VISIBLE_DEVICES": "1"}) == ["1 GPU-bbbb2222"]
    assert names({"CUDA_VISIBLE_DEVICES": "4"}) == []


def test_the_only_device_of_a_job_is_number_0(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, *HIDDEN, A)
    assert names({"CUDA_VISIBLE_DEVICES": "0"}) == names({}) == ["0 GPU-aaaa1111"]


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        ({"uuid"}, Device("0", "NVIDIA H200", 140 * GIB, 0, "580.65.06", "")),
        ({"name"}, Device("0", "GPU of unknown model", 140 * GIB, 0, "580.65.06", "GPU-odd")),
        ({"memory"}, Device("0", "NVIDIA H200", 0, 0, "580.65.06", "GPU-odd")),
        ({"mig", "instances"}, Device("0", "NVIDIA H200", 140 * GIB, 0, "580.65.06", "GPU-odd")),
    ],
)
def test_a_device_that_does_not_tell_all_is_a_device(
    refused: set[str], expected: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, FakeGpu("GPU-odd", refuses=frozenset(refused)), B)
    first, second = discover_devices({})
    assert first == expected
    assert (second.index, second.uuid) == ("1", "GPU-bbbb2222")


def test_a_device_that_tells_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeGpu("GPU-lost", refuses=frozenset({"name", "uuid", "memory"})), B)
    assert names({}) == ["0 GPU-bbbb2222"]


def test_a_split_gpu_is_listed_as_its_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, A, SPLIT, B)
    assert names({}) == ["0 GPU-aaaa1111", "MIG-5a11", "MIG-1a26", "2 GPU-bbbb2222"]
    small = discover_devices({})[1]
    assert (small.name, small.memory_total, small.is_mig) == ("NVIDIA H200 MIG 1g.18gb", 18 * GIB, True)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("MIG-1a26", ["MIG-1a26"]),
        ("MIG-5", ["MIG-5a11"]),
        ("1", ["MIG-5a11", "MIG-1a26"]),
        ("GPU-5p117", ["MIG-5a11", "MIG-1a26"]),
        ("MIG-5a11,GPU-5p117", ["MIG-5a11", "MIG-1a26"]),
        ("2", ["2 GPU-bbbb2222"]),
    ],
)
def test_an_instance_is_named_by_its_uuid_and_a_split_gpu_means_all_of_them(
    visible: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, A, SPLIT, B)
    assert names({"CUDA_VISIBLE_DEVICES": visible}) == expected
    assert names({"BEATSIGHT_DEVICES": visible}) == expected


@pytest.mark.parametrize(
    "gpu", [FakeGpu("GPU-1", mig=True), FakeGpu("GPU-1", mig=True, refuses=frozenset({"instances"}))]
)
def test_a_split_gpu_whose_instances_are_not_listed_stays(gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, gpu)
    assert names({}) == ["0 GPU-1"]


def test_a_gpu_that_is_not_split_has_no_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeGpu("GPU-1", mig=False, instances=(SMALL,)))
    assert names({}) == ["0 GPU-1"]


def test_instances_that_do_not_tell_all(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = [FakeGpu("MIG-1", refuses=frozenset({"name"})), FakeGpu("MIG-2", refuses=frozenset({"uuid"}))]
    others = [FakeGpu("MIG-3", refuses=frozenset({"open"})), FakeGpu("MIG-4", refuses=frozenset({"memory"}))]
    install(monkeypatch, FakeGpu("GPU-1", "NVIDIA A30", mig=True, instances=(*odd, *others)))
    assert [(device.index, device.name) for device in discover_devices({})] == [
        ("MIG-1", "NVIDIA A30 MIG"),
        ("MIG-4", "NVIDIA H200"),
    ]


@pytest.mark.parametrize("variable", ["CUDA_VISIBLE_DEVICES", "BEATSIGHT_DEVICES"])
@pytest.mark.parametrize("word", ["MIG-c0ffee", "MIG-GPU-5e1f/7/0", "GPU-c0ffee"])
def test_a_uuid_that_no_list_knows_is_a_device_of_that_name(
    variable: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_driver(monkeypatch)
    assert discover_devices({variable: word}) == [Device(word, f"named by {variable}", 0, 0, "", word)]
    install(monkeypatch, A)
    assert names({variable: f"0,{word}"}) == ["0 GPU-aaaa1111", word]


def test_a_uuid_that_no_list_knows_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = install(monkeypatch)
    fake.gpus = (FakeGpu("GPU-1", refuses=frozenset({"open"}), instances=(SMALL,)),)
    (device,) = discover_devices({"CUDA_VISIBLE_DEVICES": "MIG-5a11"})
    assert device == Device("MIG-5a11", "NVIDIA H200 MIG 1g.18gb", 18 * GIB, 0, "580.65.06", "MIG-5a11")


def test_the_beginning_of_two_uuids_names_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, A, FakeGpu("GPU-aaaa2222"), FakeGpu("GPU-aaaa11112"))
    assert names({"CUDA_VISIBLE_DEVICES": "GPU-aaaa2,GPU-aaaa,0"}) == ["1 GPU-aaaa2222"]
    assert names({"CUDA_VISIBLE_DEVICES": "GPU-aaaa1111"}) == ["0 GPU-aaaa1111"]  # a whole UUID is no beginning
    assert names({"BEATSIGHT_DEVICES": "GPU-aaaa"}) == ["GPU-aaaa"]  # CUDA says that there is no such device


@pytest.mark.parametrize(
    ("order", "gpus", "expected", "asked"),
    [
        ({}, (SLOW, FAST), "1 GPU-fa57", 1),
        ({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, (SLOW, FAST), "1 GPU-fa57", 1),
        (BY_BUS, (SLOW, FAST), "0 GPU-5109", 0),
        ({}, (A, B), "0 GPU-aaaa1111", 0),
    ],
)
def test_a_number_is_read_in_the_order_that_cuda_counts_in(
    order: dict[str, str], gpus: tuple[FakeGpu, ...], expected: str, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, *gpus)
    torch = install_torch(monkeypatch, FAST.uuid)
    assert names({"CUDA_VISIBLE_DEVICES": "0", **order}) == [expected]
    assert [variables["CUDA_VISIBLE_DEVICES"] for variables in torch.asked] == ["0"] * asked


def test_where_torch_does_not_tell_its_order_it_is_that_of_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SLOW, FAST)
    torch = install_torch(monkeypatch)
    assert names({"CUDA_VISIBLE_DEVICES": "0"}) == ["0 GPU-5109"]
    assert names({"CUDA_VISIBLE_DEVICES": "GPU-fa57"}) == ["1 GPU-fa57"]
    assert len(torch.asked) == 1  # a UUID means the same in any order


def test_a_device_that_only_torch_sees_is_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    no_driver(monkeypatch)
    torch = install_torch(monkeypatch, "GPU-1", "GPU-2")
    assert discover_devices({})[0] == Device("GPU-1", "seen by torch", 8 * GIB, 0, "", "GPU-1")
    assert names({"CUDA_VISIBLE_DEVICES": "1,0"}) == ["GPU-1", "GPU-2"]
    assert [variables["CUDA_VISIBLE_DEVICES"] for variables in torch.asked] == [None, "1,0"]


def test_torch_is_asked_where_the_tools_know_no_device_of_that_number(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, B)
    torch = install_torch(monkeypatch, "GPU-bbbb2222")
    assert names({"CUDA_VISIBLE_DEVICES": "3"}) == ["0 GPU-bbbb2222"]
    assert len(torch.asked) == 1


@pytest.mark.parametrize(
    "decided", [{"BEATSIGHT_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "-1"}]
)
def test_torch_is_not_asked_where_a_variable_hides_all(
    decided: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_driver(monkeypatch)
    torch = install_torch(monkeypatch, "GPU-1")
    assert discover_devices(decided) == []
    assert torch.asked == []

"""Verbs on a machine whose GPU torch cannot use, and what they say when CUDA fails: one paragraph and an exit code."""

import json
import sys
import sysconfig
import warnings
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from beatsight_core.cli.main import beatsight
from beatsight_core.compute import devices as devices_module
from tests.core.compute.fake_driver import FakeGpu, FakeNvml

UUID = "GPU-aaaa1111"
WAYS = (
    "update to driver 580 or newer, or install the torch that is built for CUDA 12 (docs/gpu.md says how), or ask for"
)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A driver of CUDA 12.7 with one GPU; torch is as it is installed, for the CPU or without such a GPU."""
    fake = FakeNvml(FakeGpu(UUID, "NVIDIA GeForce RTX 3080 Ti"))
    monkeypatch.setattr(fake, "nvmlSystemGetCudaDriverVersion", lambda: 12070)
    monkeypatch.setattr(fake, "nvmlSystemGetDriverVersion", lambda: "566.03")
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("BEATSIGHT_LEASE_DIR", str(tmp_path / "leases"))
    return fake


def call(*words):
    return CliRunner().invoke(beatsight, [str(word) for word in words])


def findings(data_root):
    result = call("doctor", "--data-root", data_root, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    said = json.loads(result.stdout)
    assert result.exit_code == (0 if said["healthy"] else 1)
    return {finding["what"]: finding for finding in said["findings"]}, said["devices"]


@pytest.mark.parametrize("build", [None, "13.0"], ids=["CPU", "CUDA 13"])
@pytest.mark.parametrize("verb", ["train", "features", "evaluate"])
def test_work_on_a_gpu_that_torch_cannot_use_is_refused_in_one_paragraph(verb, build, trained, driver, monkeypatch):
    settings, run_id = trained
    monkeypatch.setattr(torch.version, "cuda", build)
    what = [run_id] if verb == "evaluate" else ["tiny.jsonl"]
    result = call(verb, *what, "--data-root", settings.data_root)
    assert result.exit_code == 2
    (paragraph,) = result.stderr.strip().splitlines()
    assert paragraph.startswith("Error: Torch cannot use device 0 (NVIDIA GeForce RTX 3080 Ti). Why: ")
    assert "driver 566.03 supports CUDA 12.7" in paragraph
    assert "--device cpu (in Dagster `device: cpu`)" in paragraph
    if build:
        assert WAYS in paragraph


def test_the_cpu_is_taken_on_purpose(trained, driver):
    settings, _ = trained
    result = call("features", "tiny.jsonl", "--device", "cpu", "--data-root", settings.data_root)
    assert result.exit_code == 0, result.stderr


def test_the_doctor_compares_driver_and_torch(data_root, driver, monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    found, devices = findings(data_root)
    (problem,) = [finding for what, finding in found.items() if what.startswith("Torch cannot use device 0")]
    assert problem["level"] == "error"
    assert "566.03 supports CUDA 12.7" in problem["what"]
    assert problem["do"].startswith("Update to driver 580 or newer, or install")
    assert devices["versions"] == {
        "driver": "566.03",
        "cuda": "12.7",
        "source": "nvml",
        "torch's CUDA": "13.0",
        "cuDNN": devices["versions"]["cuDNN"],
    }
    shown = call("doctor", "--data-root", data_root)
    assert shown.exit_code == 1
    assert "error: Torch cannot use device 0" in shown.stdout


def test_the_doctor_quotes_torch_about_cudnn(data_root, driver, monkeypatch):
    def refused():
        raise RuntimeError("cuDNN version 91900 is not compatible with devices with SM < 7.5. Please install another.")

    monkeypatch.setattr(torch.backends.cudnn, "version", refused)
    found, devices = findings(data_root)
    (finding,) = [finding for what, finding in found.items() if "refuses cuDNN" in what]
    assert finding["level"] == "error"
    assert "not compatible with devices with SM < 7.5" in finding["what"]
    assert devices["versions"]["cuDNN"] is None


def test_the_doctor_shows_what_a_gpu_can_do_and_what_torch_thinks_of_it(data_root, driver, monkeypatch):
    def properties(number):
        warnings.warn("\nTesla V100 with CUDA capability sm_70 is not compatible with this PyTorch.\n", stacklevel=2)
        return SimpleNamespace(uuid=UUID.removeprefix("GPU-"), major=7, minor=number)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    found, devices = findings(data_root)
    assert devices["gpus"][0]["compute_capability"] == "7.0"
    assert any("sm_70 is not compatible" in what for what in found)
    assert not any("cannot use" in what for what in found)
    shown = call("doctor", "--data-root", data_root)
    assert "compute capability" in shown.stdout


@pytest.mark.parametrize("lacking", ["compiler", "headers", "nothing", "GPU"])
def test_the_doctor_looks_for_a_compiler_where_there_is_a_gpu(lacking, data_root, driver, tmp_path, monkeypatch):
    (tmp_path / "Python.h").touch()
    folder = tmp_path / "none" if lacking in ("headers", "GPU") else tmp_path
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(folder)})
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("shutil.which", lambda name, *_: None if lacking == "compiler" else f"/usr/bin/{name}")
    if lacking == "GPU":
        driver.gpus = ()
        monkeypatch.setenv("BEATSIGHT_DEVICES", "0")  # in name only
    found, _ = findings(data_root)
    said = [finding for what, finding in found.items() if "cannot be compiled" in what]
    assert len(said) == (lacking in ("compiler", "headers"))
    for finding in said:
        assert finding["level"] == "warning"
        assert ("lacks a C compiler" if lacking == "compiler" else "lacks Python.h") in finding["what"]
        assert finding["do"].startswith("apt install gcc python3.")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (torch.cuda, "is_available"),
        (torch.cuda, "device_count"),
        (torch.cuda, "get_device_properties"),
        (torch.backends.cudnn, "version"),
        (devices_module.nvml, "list_gpus"),
        (devices_module.nvml, "versions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("error", [RuntimeError("driver\nis broken"), OSError(5, "gone"), AssertionError()], ids=repr)
def test_the_doctor_survives_whatever_the_driver_does(module, name, error, data_root, driver, monkeypatch):
    def broken(*_):
        raise error

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid=UUID, major=8, minor=6))
    monkeypatch.setattr(module, name, broken)
    found, _ = findings(data_root)
    quoted = str(error).partition("\n")[0] or "AssertionError"
    assert any(what.endswith(quoted) and finding["level"] == "error" for what, finding in found.items())


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_failure_of_cuda_is_one_paragraph(as_json, data_root, monkeypatch):
    def failing(*_, **__):
        raise torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might be")

    monkeypatch.setattr("beatsight_core.promotion.version.model_list.list_models", failing)
    result = call("models", "--data-root", data_root, *(["--json"] if as_json else []))
    assert result.exit_code == 2
    assert "Why: CUDA error: uncorrectable ECC error encountered. What to do:" in result.stderr
    assert "Traceback" not in result.stderr
    if as_json:
        assert json.loads(result.stdout)["error"]["kind"] == "DeviceError"
    assert "Traceback" in call("models", "--data-root", data_root, "--debug").stderr


def test_an_error_of_the_program_is_not_taken_for_one_of_the_device(data_root, monkeypatch):
    def failing(*_, **__):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("beatsight_core.promotion.version.model_list.list_models", failing)
    result = call("models", "--data-root", data_root)
    assert result.exit_code == 70
    assert "The platform has a fault: RuntimeError: mat1 and mat2 shapes" in result.stderr

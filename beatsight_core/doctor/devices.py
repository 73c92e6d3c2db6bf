"""Devices: what the driver lists, what torch can use of it, and what compiling for a GPU needs.

Whatever the driver or torch does, the doctor goes on: what fails becomes a finding.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from beatsight_core.compute.cuda_support import (
    TorchView,
    cuda_problem,
    cudnn_version,
    exists,
    kept_warnings,
    look_at_torch,
    one_line,
)
from beatsight_core.compute.devices import Device, discover_devices, driver_versions
from beatsight_core.compute.gpus import UUID_PREFIXES
from beatsight_core.doctor.findings import Finding
from beatsight_core.typed_json import JsonObject, JsonValue

Answer = TypeVar("Answer")

_UNKNOWN: dict[str, str | None] = {"driver": None, "cuda": None, "source": None}


def examine_devices(findings: list[Finding]) -> JsonObject:
    """Look at GPUs, driver, torch and processors.

    Args:
        findings: List that receives what is wrong.

    Returns:
        The section `devices`.
    """
    none: list[Device] = []
    devices = _asked("The driver cannot list the devices", discover_devices, none, findings)
    driver = _asked("The driver does not tell its version", driver_versions, _UNKNOWN, findings)
    present = [device for device in devices if exists(device)]
    torch_versions, capabilities = _examine_torch(present, driver, findings)
    if present:
        _examine_compiler(findings)
    gpus: list[JsonValue] = [
        {
            "index": device.index,
            "name": device.name,
            "memory_total": device.memory_total,
            "memory_used": device.memory_used,
            "compute_capability": capabilities.get(device.uuid),
        }
        for device in devices
    ]
    return {"gpus": gpus, "versions": {**driver, **torch_versions}, "cpus": _cpus()}


def _examine_torch(
    devices: Sequence[Device], driver: Mapping[str, str | None], findings: list[Finding]
) -> tuple[dict[str, str | None], dict[str, str]]:
    """Return the CUDA and cuDNN that torch brings along, None for a build without; the compute capability of each UUID.

    Both are empty without torch.
    """
    view = _look_at_torch(findings)
    if view is None:
        return {}, {}
    problem = cuda_problem(devices, driver, view)
    if problem is not None:
        do = str(problem.do)
        findings.append(Finding("error", f"{problem.what}: {problem.why}", f"{do[:1].upper()}{do[1:]}"))
    cudnn, refusal = cudnn_version()
    if refusal is not None:
        do = "Unset LD_LIBRARY_PATH if it names another cuDNN; for a GPU older than Turing see docs/gpu.md"
        findings.append(Finding("error", f"Torch refuses cuDNN or the GPU: {refusal.rstrip('.')}", do))
    capabilities = _capabilities(findings) if view.sees else {}
    return {"torch's CUDA": view.cuda, "cuDNN": str(cudnn) if cudnn else None}, capabilities


def _look_at_torch(findings: list[Finding]) -> TorchView | None:
    """Return what torch is and sees; None if it is not installed, which is told among the packages, or fails."""
    try:
        return look_at_torch()
    except ModuleNotFoundError as error:
        if error.name == "torch":
            return None
        failed: Exception = error
    except Exception as error:  # noqa: BLE001 - a library that is missing or damaged fails in many ways
        failed = error
    findings.append(_failed("Torch cannot be used", failed, "See what it says and install torch again (docs/gpu.md)"))
    return None


def _capabilities(findings: list[Finding]) -> dict[str, str]:
    """Return the compute capability of each GPU that torch sees, by UUID; its warnings are findings."""
    nothing: dict[str, str] = {}
    with kept_warnings() as said:
        found = _asked("Torch cannot describe the GPUs", _ask_capabilities, nothing, findings)
    findings += [Finding("warning", f"Torch says: {line.rstrip('.')}", "See docs/gpu.md") for line in said]
    return found


def _ask_capabilities() -> dict[str, str]:
    import torch

    every = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    found = {str(one.uuid): f"{one.major}.{one.minor}" for one in every}
    return found | {prefix + uuid: value for uuid, value in found.items() for prefix in UUID_PREFIXES}


def _examine_compiler(findings: list[Finding]) -> None:
    """Look for what Triton takes to compile for a GPU: it builds a small C extension, from Python's headers."""
    missing = []
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        missing.append("a C compiler")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        missing.append("Python.h")
    if missing:
        what = f"Training on a GPU cannot be compiled, so it is slower: this machine lacks {' and '.join(missing)}"
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        findings.append(Finding("warning", what, f"apt install gcc {python}-dev"))


def _asked(what: str, question: Callable[[], Answer], default: Answer, findings: list[Finding]) -> Answer:
    """Return the answer to a question, or the default and a finding if it is answered by an error of any kind."""
    try:
        return question()
    except Exception as error:  # noqa: BLE001 - a broken driver fails in many ways
        findings.append(_failed(what, error, "See what nvidia-smi says"))
        return default


def _failed(what: str, error: Exception, do: str) -> Finding:
    said = one_line(str(error)).rstrip(".")
    return Finding("error", f"{what}: {type(error).__name__}{f': {said}' if said else ''}", do)


def _cpus() -> str:
    import psutil

    memory = psutil.virtual_memory()
    return f"{psutil.cpu_count()} cores, {memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB available"

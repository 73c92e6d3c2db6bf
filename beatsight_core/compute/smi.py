"""Answers of the program `nvidia-smi` about GPUs, for machines where NVML cannot be asked."""

import shutil

from beatsight_core.compute.brief_process import output_of
from beatsight_core.compute.gpus import Device, Gpu, whole

TIMEOUT_S = 30.0
"""Seconds that a driver may take to answer. One that hangs counts as none."""

_FIELDS = "uuid,name,memory.total,memory.used,driver_version"
_MEBIBYTE = 1024 * 1024


def list_gpus() -> list[Gpu]:
    """Return the GPUs that it lists, in the order of the bus. It does not list MIG instances this way."""
    return [whole(device) for device in parse_smi(_run(f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"))]


def parse_smi(output: str) -> list[Device]:
    """Return devices from `nvidia-smi`'s CSV, one a line: UUID, name, MiB in all, MiB used, driver.

    They are numbered by their place in the list. Its own numbers may count GPUs that this process may not open.
    """
    devices = list[Device]()
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == len(_FIELDS.split(",")):
            uuid, name, total, used, driver = cells
            uuid = uuid if uuid.startswith("GPU-") else ""
            devices.append(Device(str(len(devices)), name, _mebibytes(total), _mebibytes(used), driver, uuid))
    return devices


def versions() -> dict[str, str | None]:
    """Return `driver`, the newest CUDA that it supports as `cuda`, and `source`; None where unknown."""
    gpus = list_gpus()
    if not gpus:
        return {"driver": None, "cuda": None, "source": None}
    cuda = _run().partition("CUDA Version:")[2].split()[:1]
    return {"driver": gpus[0].devices[0].driver, "cuda": cuda[0] if cuda else None, "source": "nvidia-smi"}


def _run(*arguments: str) -> str:
    program = shutil.which("nvidia-smi")
    return (program and output_of([program, *arguments], TIMEOUT_S)) or ""


def _mebibytes(cell: str) -> int:
    return int(cell) * _MEBIBYTE if cell.isdigit() else 0

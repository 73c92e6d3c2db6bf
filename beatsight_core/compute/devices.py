"""Which accelerators this process may use, how full they are, and what drives them. Torch is not needed for that.

`BEATSIGHT_DEVICES` beats everything: a list of names such as `0,1` or `GPU-4f…` ("" or -1: none). They need not exist,
so queueing can be tried on any machine. Without it NVML is asked, then `nvidia-smi`; `CUDA_VISIBLE_DEVICES` narrows
either.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEVICES_VARIABLE = "BEATSIGHT_DEVICES"
NO_DEVICE = "-1"
"""As CUDA has it: no device."""

_SMI_FIELDS = "index,uuid,name,memory.total,memory.used,driver_version"
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator.

    Attributes:
        index: What `CUDA_VISIBLE_DEVICES` calls it, with devices ordered by bus.
        name: The model.
        memory_total: Bytes; 0 where unknown.
        memory_used: Bytes in use by anybody; 0 where unknown.
        driver: Driver version; "" where unknown.
        uuid: The name that survives reordering; "" where unknown.
    """

    index: str
    name: str
    memory_total: int
    memory_used: int
    driver: str
    uuid: str = ""

    @property
    def used_share(self) -> float:
        """Memory in use, 0 to 1; 0 where unknown."""
        return self.memory_used / self.memory_total if self.memory_total else 0.0

    def to_json(self) -> dict[str, Any]:
        """All attributes."""
        return {name: getattr(self, name) for name in Device.__slots__}


def discover_devices(environment: Mapping[str, str] | None = None) -> list[Device]:
    """The accelerators that this process may use, in the order of the machine's bus.

    Args:
        environment: Instead of `os.environ`.
    """
    env = os.environ if environment is None else environment
    present = _ask_driver()
    named = env.get(DEVICES_VARIABLE)
    if named is not None:
        return [_find(name, present) or _placeholder(name) for name in _words(named) if name != NO_DEVICE]
    visible = env.get("CUDA_VISIBLE_DEVICES")
    return present if visible is None else _narrow(present, _words(visible))


def driver_versions() -> dict[str, str | None]:
    """`driver` and the newest CUDA that it supports, `cuda`; None where unknown. `source`: nvml, nvidia-smi or None."""
    try:
        import pynvml
    except ImportError:
        return _smi_versions()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return _smi_versions()
    try:
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion())
        version = f"{cuda // 1000}.{cuda % 1000 // 10}"
        return {"driver": str(pynvml.nvmlSystemGetDriverVersion()), "cuda": version, "source": "nvml"}
    except pynvml.NVMLError:
        return _smi_versions()
    finally:
        pynvml.nvmlShutdown()


def _ask_driver() -> list[Device]:
    found = _from_nvml()
    return _from_smi() if found is None else found


def _from_nvml() -> list[Device] | None:
    """What NVML lists; None if NVML is not there."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        return [_nvml_device(pynvml, position, driver) for position in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _nvml_device(pynvml: Any, position: int, driver: str) -> Device:
    handle = pynvml.nvmlDeviceGetHandleByIndex(position)
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        total, used = int(memory.total), int(memory.used)
    except pynvml.NVMLError:  # shared-memory chips do not tell
        total = used = 0
    name, uuid = str(pynvml.nvmlDeviceGetName(handle)), str(pynvml.nvmlDeviceGetUUID(handle))
    return Device(str(position), name, total, used, driver, uuid)


def _from_smi() -> list[Device]:
    output = _run_smi(f"--query-gpu={_SMI_FIELDS}", "--format=csv,noheader,nounits")
    return parse_smi(output)


def parse_smi(output: str) -> list[Device]:
    """Devices from `nvidia-smi`'s CSV, one a line: index, uuid, name, MiB in all, MiB used, driver."""
    devices = []
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 6 and cells[0].isdigit():
            index, uuid, name, total, used, driver = cells
            devices.append(Device(index, name, _mebibytes(total), _mebibytes(used), driver, uuid))
    return devices


def _smi_versions() -> dict[str, str | None]:
    devices = _from_smi()
    header = _run_smi()
    cuda = header.partition("CUDA Version:")[2].split()[:1] if devices else []
    return {
        "driver": devices[0].driver if devices else None,
        "cuda": cuda[0] if cuda else None,
        "source": "nvidia-smi" if devices else None,
    }


def _run_smi(*arguments: str) -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        answer = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):  # a hung driver counts as no driver
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def _mebibytes(cell: str) -> int:
    return int(cell) * _MEBIBYTE if cell.isdigit() else 0


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(text.replace(",", " ").split()))


def _find(name: str, devices: Iterable[Device]) -> Device | None:
    return next((device for device in devices if _is_called(device, name)), None)


def _is_called(device: Device, name: str) -> bool:
    # CUDA accepts any unambiguous beginning of a UUID.
    return device.index == name or (name.startswith("GPU-") and device.uuid.startswith(name))


def _narrow(devices: Sequence[Device], names: Sequence[str]) -> list[Device]:
    """As CUDA reads its variable: in the order named, ending at the first name that it does not know."""
    visible = []
    for name in names:
        device = _find(name, devices)
        if device is None:
            break
        visible.append(device)
    return visible


def _placeholder(name: str) -> Device:
    return Device(name, f"named by {DEVICES_VARIABLE}", 0, 0, "")

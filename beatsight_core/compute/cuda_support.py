"""The reason why torch cannot compute on the GPUs of this machine. Driver, CUDA and torch must fit together.

Torch brings the libraries of CUDA along; the driver belongs to the system, under WSL to Windows. A driver that is older
than torch's CUDA makes torch see no device at all. Work must not go to the CPU then without a word: it would take days
instead of hours, and hold a GPU meanwhile. The question is answered here for everybody: verbs, Dagster, and the doctor.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from beatsight_core.compute.devices import DEVICES_VARIABLE, Device, discover_devices, driver_versions
from beatsight_core.compute.leases import LEASED_VARIABLE
from beatsight_core.errors import DeviceError

MIN_DRIVERS = {12: "525 (528 under Windows and WSL)", 13: "580"}
"""CUDA's major version -> the oldest driver that it runs on.

Every CUDA of one major version runs on each driver since the first of that version (NVIDIA's "minor version
compatibility"): 12.0 came with 525.60 for Linux and 528.33 for Windows, whose driver WSL uses; 13.0 came with 580.
"""

ON_PURPOSE = "ask for the CPU on purpose: --device cpu (in Dagster `device: cpu`)"


@dataclass(frozen=True, slots=True)
class TorchView:
    """The version of torch, and the devices that it sees.

    Attributes:
        version: Version of torch, such as "2.13.0+cpu".
        cuda: Version of CUDA that torch is built for; None for a build for the CPU.
        sees: Number of devices that torch can use; None if it was not asked.
        said: Warnings of torch when it was asked.
    """

    version: str
    cuda: str | None
    sees: int | None = None
    said: str = ""


def device_problem(torch: TorchView) -> DeviceError | None:
    """Return the reason why torch cannot use the devices of this process; None if it can, or if there are none.

    Args:
        torch: View of torch. If torch was not asked for its devices, only the versions are compared.

    Returns:
        The error to raise.
    """
    if torch.sees:
        return None
    devices = expected_devices()
    return cuda_problem(devices, driver_versions(), torch) if devices else None


def cuda_problem(devices: Sequence[Device], driver: Mapping[str, str | None], torch: TorchView) -> DeviceError | None:
    """Return the reason why torch cannot use devices; None if it can, if there are none, or if that is not known yet.

    Args:
        devices: Devices that torch should be able to use.
        driver: Versions as `driver_versions` gives them.
        torch: View of torch.
    """
    if not devices or torch.sees:
        return None
    supported, built = _major(driver["cuda"]), _major(torch.cuda)
    if built is None:
        why = f"torch {torch.version} is built for the CPU, and {_driver(driver)}"
        ways = [_install(supported)]
    elif supported is not None and supported < built:
        needed = MIN_DRIVERS.get(built)
        driver_needed = f"driver {needed} or newer" if needed else "a newer driver"
        why = f"{_driver(driver)}, and {_torch(torch)}, which needs {driver_needed}"
        ways = [f"update to {driver_needed}"]
        ways += [_install(supported)] if supported in MIN_DRIVERS else []
    elif torch.sees is None:
        return None
    else:
        why = f"{_driver(driver)}, and {_torch(torch)}, and torch sees no device; {_unseen(torch)}"
        ways = ["see what nvidia-smi says and mend the driver (a restart helps after an update of it)"]
    return DeviceError(f"Torch cannot use {_named(devices)}", why=why, do=", or ".join([*ways, ON_PURPOSE]))


def look_at_torch(*, ask: bool = True) -> TorchView:
    """Return what torch is and, if it is asked, what it sees; its warnings are kept and not shown.

    Args:
        ask: Ask torch for its devices. That makes CUDA read which devices are visible, for the rest of the process.

    Raises:
        ImportError: Torch is not installed.
    """
    import torch

    if not ask:
        return TorchView(torch.__version__, torch.version.cuda)
    with kept_warnings() as said:
        sees = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return TorchView(torch.__version__, torch.version.cuda, sees, "; ".join(said))


def expected_devices() -> list[Device]:
    """Return the devices that torch must be able to use in this process.

    Under a lease these are the leased ones, whatever the driver says. Else they are the visible ones that exist; what
    `BEATSIGHT_DEVICES` merely names is for trying out the queue.
    """
    found = discover_devices()
    leased = os.environ.get(LEASED_VARIABLE, "")
    if leased:
        return found or [Device(name, "leased", 0, 0, "") for name in leased.split(",")]
    return [device for device in found if exists(device)]


def exists(device: Device) -> bool:
    """Return whether a device is there as far as anybody knows, and not merely named to try out the queue."""
    return bool(device.driver) or device.name != f"named by {DEVICES_VARIABLE}"


def cudnn_version() -> tuple[int | None, str | None]:
    """Return the version of torch's cuDNN, None without one, and what torch says if it refuses that cuDNN or the GPU.

    It refuses another cuDNN that `LD_LIBRARY_PATH` puts in front of its own, and GPUs older than cuDNN supports.
    """
    import torch

    try:
        with kept_warnings():
            return torch.backends.cudnn.version(), None  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - also what torch puts off until CUDA is first used, of several classes
        return None, one_line(str(error)) or type(error).__name__


@contextlib.contextmanager
def kept_warnings() -> Iterator[list[str]]:
    """Show no warning while the block runs; afterwards the list holds the first line of each."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
    said += dict.fromkeys(filter(None, (one_line(str(warning.message)) for warning in caught)))


def one_line(text: str) -> str:
    """Return the first line of a text that says anything, without the place in torch's source at its end."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line.partition(" (Triggered internally at")[0]


def _driver(driver: Mapping[str, str | None]) -> str:
    if driver["driver"] is None:
        return "no driver is known to NVML or nvidia-smi"
    return f"driver {driver['driver']} supports CUDA {driver['cuda'] or '(unknown)'}"


def _torch(torch: TorchView) -> str:
    return f"torch {torch.version} is built for CUDA {torch.cuda}"


def _unseen(torch: TorchView) -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    parts = [f"CUDA_VISIBLE_DEVICES is {visible!r}"] if visible is not None else []
    parts += [f"torch says: {torch.said}"] if torch.said else []
    return "; ".join(parts) or "torch gives no reason"


def _install(supported: int | None) -> str:
    """Return how to get a torch that fits a driver which supports CUDA of this major version."""
    newest = max(MIN_DRIVERS)
    major = min(supported or newest, newest)
    first = "" if major in MIN_DRIVERS else f"update the driver to {MIN_DRIVERS[newest]} or newer and "
    built_for = major if major in MIN_DRIVERS else newest
    return f"{first}install the torch that is built for CUDA {built_for} (docs/gpu.md says how)"


def _named(devices: Sequence[Device]) -> str:
    names = ", ".join(f"{device.index} ({device.name})" for device in devices)
    return f"device {names}" if len(devices) == 1 else f"the devices {names}"


def _major(version: str | None) -> int | None:
    first = (version or "").partition(".")[0]
    return int(first) if first.isdigit() else None

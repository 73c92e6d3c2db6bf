"""What the machine is: what is installed, which devices there are, and whether their parts fit each other."""

import os
import shutil
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import NO_DEVICE, Context
from benchmarks.gpu.pinned import compared, pinned_torch

PACKAGES = (
    "torch", "torchaudio", "numpy", "triton", "polars", "orjson", "pyarrow", "psutil", "soundfile", "soxr", "click",
    "rich", "nvidia-ml-py", "safetensors", "pytest", "hypothesis",
)  # fmt: skip


def facts(context: Context) -> int | None:
    """Report versions, devices and tools; the process ends with `NO_DEVICE` if CUDA was asked for and is not there."""
    import torch

    context.say("packages", python=sys.version.split()[0], packages=_packages())
    context.say(
        "torch", version=torch.__version__, stands=compared(torch.__version__, pinned_torch()), cuda=torch.version.cuda
    )
    _about(context)
    _tools(context)
    _driver(context)
    if context.on_cuda and not torch.cuda.is_available():
        context.write("no_device", name="there is no CUDA device here", why=_why_none())
        return NO_DEVICE
    if context.on_cuda:
        _devices(context)
        _precision(context)
    return None


def _packages() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def _about(context: Context) -> None:
    """Write what the table of results says of a machine."""
    from benchmarks.measure import machine, now, versions

    context.write("about", machine=machine(), versions=versions(), time=now())


def _tools(context: Context) -> None:
    """Report what compiling a net needs beside torch."""
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    context.say("tools", compiler=compiler, python_h=header.exists(), cores=os.cpu_count())


def _driver(context: Context) -> None:
    """Report the driver, and compare the CUDA that it supports with the one that torch was built for."""
    import torch

    from beatsight_core.compute.devices import discover_devices, driver_versions

    driver = driver_versions()
    context.say("driver", **driver, devices=[device.to_json() for device in discover_devices()])
    if torch.version.cuda and driver["cuda"]:
        fits = _numbers(driver["cuda"])[:1] >= _numbers(torch.version.cuda)[:1]
        context.check("the driver supports torch's CUDA", fits, value=driver["cuda"], limit=torch.version.cuda)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")[:2]]


def _why_none() -> str:
    import torch

    from beatsight_core.compute.devices import driver_versions

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built for the CPU"
    driver = driver_versions()
    if driver["driver"] is None:
        return "no driver answers"
    said = f"driver {driver['driver']} supports CUDA up to {driver['cuda']}, torch is built for {torch.version.cuda}"
    return f"{said}, CUDA_VISIBLE_DEVICES is {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')!r}"


def _devices(context: Context) -> None:
    """Report what torch sees, and compare it with what the driver lists."""
    import torch

    from beatsight_core.compute.devices import discover_devices

    uuids = uuids_seen()
    for number, uuid in enumerate(uuids):
        seen, (free, total) = torch.cuda.get_device_properties(number), torch.cuda.mem_get_info(number)
        context.say(
            "device", number=number, device=seen.name, uuid=uuid, capability=f"{seen.major}.{seen.minor}",
            multiprocessors=seen.multi_processor_count, free_gib=round(free / 2**30, 1),
            total_gib=round(total / 2**30, 1),
        )  # fmt: skip
    context.say("libraries", cudnn=_cudnn(), cuda=torch.version.cuda, architectures=torch.cuda.get_arch_list())
    listed = sorted(bare(device.uuid) for device in discover_devices())
    context.check("the driver lists the devices that torch sees", listed == sorted(uuids), value=listed, limit=uuids)


def uuids_seen() -> list[str]:
    """Return the UUIDs of the devices that torch sees."""
    import torch

    return [bare(str(torch.cuda.get_device_properties(number).uuid)) for number in range(torch.cuda.device_count())]


def bare(uuid: str) -> str:
    """Return a UUID without the prefix that the driver's tools give it, and torch does not."""
    return uuid.removeprefix("GPU-").removeprefix("MIG-")


def _cudnn() -> Any:
    import torch

    try:
        return torch.backends.cudnn.version()
    except RuntimeError as error:  # another cuDNN than torch's own is found first
        return str(error)[:300]


def _precision(context: Context) -> None:
    """Check that bfloat16 is only chosen where the device multiplies it itself."""
    import torch

    from beatsight_core.training.optimiser import amp_dtype
    from benchmarks.gpu.made import DEFAULT, configured

    native = torch.cuda.get_device_capability(0) >= (8, 0)
    chosen = amp_dtype(configured(context, DEFAULT), context.torch_device())
    context.check(
        "bfloat16 where it is native, else float16", chosen is (torch.bfloat16 if native else torch.float16),
        value=str(chosen), limit="native" if native else "emulated",
    )  # fmt: skip

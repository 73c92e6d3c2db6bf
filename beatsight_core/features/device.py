"""The device of torch that a name means, and that is really there."""

from typing import TYPE_CHECKING

from beatsight_core.compute.cuda_support import device_problem, look_at_torch
from beatsight_core.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import torch


def torch_device(name: str = "auto") -> "torch.device":
    """Return the device called `name`.

    "auto" is the CPU only where there is no GPU. Where one is leased to this process or listed by the driver, and torch
    cannot use it, "auto" is an error like "cuda": nobody trains for days on a CPU without knowing it.

    Args:
        name: Name of the device: "auto" (the first visible CUDA device, else the CPU), "cpu", "cuda", or "cuda:<n>".

    Raises:
        DeviceError: CUDA was asked for and that device is not there, or torch cannot use a GPU that is here.
        UsageError: There is no such kind of device.
    """
    import torch

    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise UsageError(f"There is no device {name!r}", do="use auto, cpu, cuda or cuda:<number>")
    if kind == "cpu":
        return torch.device("cpu")
    view = look_at_torch()
    if (problem := device_problem(view)) is not None:
        raise problem
    visible = view.sees or 0
    if kind == "auto" and not visible:
        return torch.device("cpu")
    number = int(index or 0)
    if number >= visible:
        raise _absent(name, visible, view.cuda)
    return torch.device("cuda", number)


def _absent(name: str, visible: int, cuda: str | None) -> DeviceError:
    """Return the error for a device that is not there, on a machine whose GPUs, if it has any, torch can use."""
    why, cure = "see nvidia-smi and CUDA_VISIBLE_DEVICES", "mend the driver"
    if cuda is None:
        why, cure = "this torch is built for the CPU", "install one that is built for CUDA"
    said = f"Device {name} was asked for, and {visible} CUDA devices are visible"
    return DeviceError(said, why=why, do=f"ask for the device auto or cpu, or {cure}")

"""Which device tensors live on: a name as typed -> a torch device that is really there."""

from typing import TYPE_CHECKING

from beatsight_core.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import torch


def torch_device(name: str = "auto") -> "torch.device":
    """The device called `name`.

    Args:
        name: "auto" (the first visible CUDA device, else the CPU), "cpu", "cuda", or "cuda:<n>".

    Raises:
        DeviceError: CUDA was asked for and that device is not there.
        UsageError: There is no such kind of device.
    """
    import torch

    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise UsageError(f"There is no device {name!r}", do="use auto, cpu, cuda or cuda:<number>")
    visible = torch.cuda.device_count() if kind != "cpu" and torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and not visible):
        return torch.device("cpu")
    number = int(index or 0)
    if number >= visible:
        said = f"Device {name} was asked for, and {visible} CUDA devices are visible"
        why, cure = "see nvidia-smi and CUDA_VISIBLE_DEVICES", "mend the driver"
        if torch.version.cuda is None:
            why, cure = "this torch is built for the CPU", "install one that is built for CUDA"
        raise DeviceError(said, why=why, do=f"ask for the device auto or cpu, or {cure}")
    return torch.device("cuda", number)

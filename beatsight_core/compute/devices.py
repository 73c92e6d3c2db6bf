"""The accelerators that this process may use, how full they are, and their driver.

`BEATSIGHT_DEVICES` beats everything: a list of names such as `0,1` or `GPU-4f…` ("" or -1: none). They need not exist,
so queueing can be tried on any machine. Without it NVML is asked, then `nvidia-smi`, and `CUDA_VISIBLE_DEVICES` narrows
what they list. Torch is asked, in a process of its own, only where that leaves no device, or where the numbers in
`CUDA_VISIBLE_DEVICES` mean an order that only CUDA knows.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from beatsight_core.compute import nvml, smi
from beatsight_core.compute.gpus import UUID_PREFIXES, Device, Gpu
from beatsight_core.compute.torch_devices import ask_torch

__all__ = ["DEVICES_VARIABLE", "NO_DEVICE", "Device", "discover_devices", "driver_versions"]

DEVICES_VARIABLE = "BEATSIGHT_DEVICES"
NO_DEVICE = "-1"
"""As CUDA has it: no device."""

_VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"


def discover_devices(environment: Mapping[str, str] | None = None) -> list[Device]:
    """Return the accelerators that this process may use, each once: as its variable names them, else in bus order.

    Args:
        environment: Variables to read instead of `os.environ`.
    """
    env = os.environ if environment is None else environment
    named = env.get(DEVICES_VARIABLE)
    if named is not None:
        gpus = _list_gpus()
        meant = (_meant(word, gpus) for word in named.replace(",", " ").split() if word != NO_DEVICE)
        return _once(device for devices in meant for device in devices)
    visible = env.get(_VISIBLE_VARIABLE)
    if visible is None:
        found = [device for gpu in _list_gpus() for device in gpu.devices]
        return _once(found or ask_torch(env))
    words = _cuda_words(visible)
    if not words:  # the variable hides all devices
        return []
    gpus = _list_gpus()
    return _once(_visible(words, gpus, env) or _as_listed(ask_torch(env), gpus))


def driver_versions() -> dict[str, str | None]:
    """Return `driver`, the newest `cuda` that it supports, and `source` (nvml or nvidia-smi); None where unknown."""
    return nvml.versions() or smi.versions()


def _list_gpus() -> list[Gpu]:
    return nvml.list_gpus() or smi.list_gpus()


def _once(devices: Iterable[Device]) -> list[Device]:
    """Return each device once, however often and under whatever names it was named."""
    found = dict[str, Device]()
    for device in devices:
        found.setdefault(device.uuid or device.index, device)
    return list(found.values())


def _cuda_words(text: str) -> list[str]:
    """Return the words of `CUDA_VISIBLE_DEVICES`, up to the first that CUDA cannot read.

    CUDA takes the digits at the beginning of a word for its number. So "-1", "none", "void" and "NoDevFiles", by which
    schedulers and containers say that there is no device, end the list.
    """
    words = list[str]()
    for word in (part.strip() for part in text.split(",")):
        number = re.match(r"\+?(\d+)", word)
        if number is None and not word.startswith(UUID_PREFIXES):
            break
        words.append(word if number is None else str(int(number[1])))
    return words


def _visible(words: Sequence[str], gpus: Sequence[Gpu], env: Mapping[str, str]) -> list[Device]:
    """Return the devices that CUDA shows for these words, up to the first that names nothing or more than one."""
    if _counts_by_speed(words, gpus, env) and (seen := _as_listed(ask_torch(env), gpus)):
        return seen
    found = list[Device]()
    for word in words:
        matches = _matches(word, gpus)
        if len(matches) == 1:
            found += matches[0]
        elif not matches and word.startswith(UUID_PREFIXES):
            found.append(_unlisted(word, _VISIBLE_VARIABLE))
        else:
            break
    return found


def _counts_by_speed(words: Sequence[str], gpus: Sequence[Gpu], env: Mapping[str, str]) -> bool:
    """Return whether numbers mean an order that only CUDA knows: of different models it counts the fastest first."""
    by_bus = env.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    return not by_bus and len({gpu.name for gpu in gpus}) > 1 and any(word.isdecimal() for word in words)


def _as_listed(seen: Iterable[Device], gpus: Sequence[Gpu]) -> list[Device]:
    """Return devices that torch sees, as the driver's tools list them where they do: those know how full they are."""
    found = list[Device]()
    for device in seen:
        matches = _matches(device.uuid, gpus)
        found += matches[0] if len(matches) == 1 else (device,)
    return found


def _meant(word: str, gpus: Sequence[Gpu]) -> tuple[Device, ...]:
    """Return what a word of `BEATSIGHT_DEVICES` stands for. What is not there exists in name."""
    matches = _matches(word, gpus)
    return matches[0] if len(matches) == 1 else (_unlisted(word, DEVICES_VARIABLE),)


def _matches(word: str, gpus: Sequence[Gpu]) -> list[tuple[Device, ...]]:
    """Return all that a word fits: GPUs by their number, GPUs and MIG instances by their UUID or its beginning.

    A GPU that is split stands for all its instances.
    """
    if word.isdecimal():
        return [gpu.devices for number, gpu in enumerate(gpus) if str(number) == word]
    if not word.startswith(UUID_PREFIXES):
        return []
    called = {gpu.uuid: gpu.devices for gpu in gpus}
    called |= {device.uuid: (device,) for gpu in gpus for device in gpu.devices}
    if word in called:
        return [called[word]]
    return [devices for uuid, devices in called.items() if uuid.startswith(word)]


def _unlisted(word: str, variable: str) -> Device:
    """Return a device that only a variable names. A container may be given a MIG instance that no list shows."""
    is_uuid = word.startswith(UUID_PREFIXES)
    known = nvml.device_called(word) if is_uuid else None
    return known or Device(word, f"named by {variable}", 0, 0, "", word if is_uuid else "")

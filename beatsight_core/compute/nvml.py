"""Answers of NVML, the driver's own library, about GPUs. Each question is allowed to fail by itself.

Under a job scheduler NVML counts the GPUs of other jobs too, and refuses to open them. They are left out, and the
numbers go on without a gap: CUDA counts only what it can open.
"""

import contextlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar

from beatsight_core.compute.gpus import Device, Gpu, whole

_NAMELESS = "GPU of unknown model"

Answer = TypeVar("Answer")


def list_gpus() -> list[Gpu]:
    """Return the GPUs that this process may open, in the order of the bus; none where NVML is not there."""
    with _opened() as nvml:
        if nvml is None:
            return []
        driver, found = _text(_ask(nvml, nvml.nvmlSystemGetDriverVersion)), list[Gpu]()
        for position in range(_ask(nvml, nvml.nvmlDeviceGetCount) or 0):
            handle = _ask(nvml, nvml.nvmlDeviceGetHandleByIndex, position)
            gpu = None if handle is None else _gpu(nvml, handle, len(found), driver)
            if gpu is not None:
                found.append(gpu)
        return found


def device_called(uuid: str) -> Device | None:
    """Return the GPU or MIG instance that has this whole UUID; None if NVML does not know it."""
    with _opened() as nvml:
        if nvml is None:
            return None
        handle = _ask(nvml, nvml.nvmlDeviceGetHandleByUUID, uuid)
        driver = _text(_ask(nvml, nvml.nvmlSystemGetDriverVersion))
        return None if handle is None else _device(nvml, handle, uuid, driver)


def versions() -> dict[str, str | None] | None:
    """Return `driver`, the newest CUDA that it supports as `cuda`, and `source`; None where NVML is not there."""
    with _opened() as nvml:
        if nvml is None:
            return None
        cuda = _ask(nvml, nvml.nvmlSystemGetCudaDriverVersion)
        driver = _text(_ask(nvml, nvml.nvmlSystemGetDriverVersion))
    if cuda is None or not driver:
        return None
    return {"driver": driver, "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}", "source": "nvml"}


@contextlib.contextmanager
def _opened() -> Iterator[ModuleType | None]:
    """Give the module that speaks to NVML, ready to be asked; None where it or the driver is missing."""
    try:
        import pynvml
    except ImportError:
        yield None
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _ask(nvml: ModuleType, question: Callable[..., Answer], *arguments: Any) -> Answer | None:
    """Return the answer of NVML; None if it refuses."""
    try:
        return question(*arguments)
    except nvml.NVMLError:
        return None


def _text(answer: str | bytes | None) -> str:
    """Return text of NVML, whose older bindings answer bytes; "" for no answer."""
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer or ""


def _gpu(nvml: ModuleType, handle: Any, number: int, driver: str) -> Gpu | None:
    """Return a GPU, split or whole; None if it tells neither name nor UUID: then it is lost or somebody else's."""
    device = _device(nvml, handle, str(number), driver)
    if device.name == _NAMELESS and not device.uuid:
        return None
    instances = _instances(nvml, handle, device)
    return Gpu(device.name, device.uuid, instances) if instances else whole(device)


def _instances(nvml: ModuleType, handle: Any, gpu: Device) -> tuple[Device, ...]:
    """Return the MIG instances that a GPU is split into; none if it is whole, or if NVML does not list them."""
    current, *_ = _ask(nvml, nvml.nvmlDeviceGetMigMode, handle) or (None,)
    if current != nvml.NVML_DEVICE_MIG_ENABLE:
        return ()
    most = _ask(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
    handles = (_ask(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number) for number in range(most))
    found = [_device(nvml, instance, "", gpu.driver, f"{gpu.name} MIG") for instance in handles if instance is not None]
    return tuple(device for device in found if device.uuid)


def _device(nvml: ModuleType, handle: Any, index: str, driver: str, name: str = _NAMELESS) -> Device:
    """Return what NVML tells about a handle; `index` and `name` stand in for what it does not tell."""
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)  # chips that share the memory of the machine do not tell
    total, used = (int(memory.total), int(memory.used)) if memory else (0, 0)
    uuid = _text(_ask(nvml, nvml.nvmlDeviceGetUUID, handle))
    return Device(index or uuid, _text(_ask(nvml, nvml.nvmlDeviceGetName, handle)) or name, total, used, driver, uuid)

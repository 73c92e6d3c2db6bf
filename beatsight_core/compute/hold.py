"""A device for work in this process: leased from the machine for as long as a block runs, where CUDA is used at all."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from beatsight_core.compute.devices import Device, discover_devices
from beatsight_core.compute.leases import LEASED_VARIABLE
from beatsight_core.compute.waiting import wait_lease

logger = logging.getLogger("beatsight")


@contextlib.contextmanager
def device_for(
    wanted: str, note: Mapping[str, Any] | None = None, *, count: int = 1, timeout_s: float | None = None
) -> Iterator[str]:
    """Hold what `wanted` stands for while the block runs, and wait in turn for it, saying for what.

    Nothing is leased on the CPU, on a machine without devices, or in a process that was started with a lease. Enter it
    before the process first uses CUDA: that is when CUDA reads which devices it may see.

    Args:
        wanted: auto, cpu, cuda or cuda:<n>, the n-th of the devices that this process may see.
        note: Who asks, for people who wait.
        count: Devices wanted, all or none; `cuda:<n>` names one.
        timeout_s: How long to wait at most.

    Yields:
        What to ask for instead: "cuda" where devices are held and are the only ones visible, else `wanted`.

    Raises:
        DeviceError: The machine has fewer devices than `count`.
        TimeLimitError: They did not come free in time.
    """
    fitting = _fitting(wanted)
    if not fitting:
        yield wanted
        return
    told = {"process": os.getpid(), **(note or {})}
    among = [device.index for device in fitting]
    with contextlib.closing(wait_lease(count, told, timeout_s=timeout_s, waiting=_say, among=among)) as lease:
        before = {name: os.environ.get(name) for name in lease.environment}
        os.environ.update(lease.environment)
        try:
            yield "cuda"
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _fitting(wanted: str) -> Sequence[Device]:
    """The devices one of which is to be leased; none if no lease is needed, or the request cannot be met."""
    kind, _, number = wanted.partition(":")
    if kind not in ("auto", "cuda") or os.environ.get(LEASED_VARIABLE) is not None or not _uses_cuda():
        return ()
    devices = discover_devices()
    if not number:
        return devices
    # Whoever opens the device says what is wrong with a number that no device has.
    return [devices[int(number)]] if number.isdigit() and int(number) < len(devices) else ()


def _uses_cuda() -> bool:
    """Whether torch was built for CUDA; asking initialises nothing."""
    import torch

    return torch.version.cuda is not None


def _say(story: str) -> None:
    logger.info("Waits for a device (`--device cpu` does not wait): %s", story)

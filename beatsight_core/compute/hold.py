"""A device for work in this process: leased from the machine for as long as a block runs, where CUDA is used at all."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence

from beatsight_core.compute.cuda_support import device_problem, look_at_torch
from beatsight_core.compute.devices import Device, discover_devices
from beatsight_core.compute.leases import LEASED_VARIABLE, Lease
from beatsight_core.compute.tickets import Note
from beatsight_core.compute.waiting import wait_lease
from beatsight_core.errors import TimeLimitError

logger = logging.getLogger("beatsight")

SMALL_WAIT_S = 0.3
"""Seconds for which small work asks for a device: others who ask at the same moment hold the queue for milliseconds."""


@contextlib.contextmanager
def device_for(
    wanted: str,
    note: Note | None = None,
    *,
    count: int = 1,
    timeout_s: float | None = None,
    small: bool = False,
) -> Iterator[str]:
    """Hold what `wanted` stands for while the block runs, and wait in turn for it, saying for what.

    Nothing is leased on the CPU, on a machine without devices, or in a process that was started with a lease. Enter it
    before the process first uses CUDA: that is when CUDA reads which devices it may see.

    Args:
        wanted: Name of the device: auto, cpu, cuda or cuda:<n>, the n-th of the devices that this process may see.
        note: Words about the holder, for people who wait.
        count: Number of devices wanted, all or none; `cuda:<n>` names one.
        timeout_s: Seconds to wait at most.
        small: True for work that a CPU does in minutes: `auto` takes a device that is free at once, else the CPU.

    Yields:
        The name to ask for instead: "cuda" where devices are held and are the only ones visible, "cpu" for small work
        that found no free device, else `wanted`.

    Raises:
        DeviceError: The machine has fewer devices than `count`, or torch cannot use those that it has.
        TimeLimitError: The devices did not come free in time.
    """
    fitting = _fitting(wanted)
    if not fitting:
        yield wanted
        return
    told = {"process": os.getpid(), **(note or {})}
    among = [device.index for device in fitting]
    if small and wanted == "auto":
        lease = _lease_at_once(count, told, among)
    else:
        lease = wait_lease(count, told, timeout_s=timeout_s, waiting=_say, among=among)
    if lease is None:
        yield "cpu"
        return
    with contextlib.closing(lease):
        before = {name: os.environ.get(name) for name in lease.environment}
        os.environ.update(lease.environment)
        try:
            yield "cuda"
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _lease_at_once(count: int, note: Note, among: Sequence[str]) -> Lease | None:
    """Lease devices that are free now, behind all that wait; None, and a line that says why, if there are none."""
    try:
        return wait_lease(count, note, timeout_s=SMALL_WAIT_S, poll_s=SMALL_WAIT_S / 10, among=among)
    except TimeLimitError as error:
        story = str(error.why)
        said = "%s. This is small work, so it runs on the CPU (`--device cuda` waits)"
        logger.info(said, story[:1].upper() + story[1:])
        return None


def _fitting(wanted: str) -> Sequence[Device]:
    """Return the devices one of which is to be leased; none if no lease is needed, or the request cannot be met."""
    kind, _, number = wanted.partition(":")
    if kind not in ("auto", "cuda") or os.environ.get(LEASED_VARIABLE) is not None:
        return ()
    torch = look_at_torch(ask=False)
    if (problem := device_problem(torch)) is not None:  # nobody waits for a device that torch cannot use
        raise problem
    devices = [] if torch.cuda is None else discover_devices()
    if not number:
        return devices
    # Whoever opens the device says what is wrong with a number that no device has.
    return [devices[int(number)]] if number.isdigit() and int(number) < len(devices) else ()


def _say(story: str) -> None:
    logger.info("Waits for a device (`--device cpu` does not wait): %s", story)

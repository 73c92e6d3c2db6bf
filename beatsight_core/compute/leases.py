"""Leases of devices: at most one holder each, on the whole machine, gone when the holder's process tree ends.

Each device is one lock file in a folder shared by all runs and users. A lease takes all the devices that it asks for
or none, and never waits. Its open, locked descriptors are handed to the process that does the work (`pass_fds`) and
closed here; the kernel frees a device when the last process that holds them ends, however it ends.

Requests are served in the order of their tickets: free devices are saved up for an earlier request that needs more
than there are now, so a wide request cannot be starved by narrow ones.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from beatsight_core.compute.devices import DEVICES_VARIABLE, Device
from beatsight_core.compute.tickets import (
    Note,
    Request,
    Ticket,
    make_folder,
    open_shared,
    queue_lock,
    take_ticket,
    waiting_requests,
)
from beatsight_core.files import storage_errors

FOLDER_VARIABLE = "BEATSIGHT_LEASE_DIR"
LEASED_VARIABLE = "BEATSIGHT_LEASED"
"""Set in a process that was started with a lease: it need not ask for one."""

MAX_MEMORY_SHARE = 0.5
"""A device with more of its memory in use than this, and no lease on it, is filled by something else."""

REFRESH_S = 5.0
"""Seconds for which an answer of the driver about memory is good while waiting."""


@dataclass(slots=True)
class Lease:
    """A lease of devices.

    Attributes:
        devices: Devices that were leased.
        descriptors: Descriptors of the open locks, for `pass_fds`.
    """

    devices: tuple[Device, ...]
    descriptors: tuple[int, ...]

    def close(self) -> None:
        """Close this process's copy of the locks; a process that inherited them goes on holding."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = ()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that show a process these devices and no others."""
        return device_environment(self.devices)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A device as the queue sees it.

    Attributes:
        device: Device that is meant.
        state: State of the device: "free", "leased", or "filled" (by something that holds no lease).
        note: Words about the holder, if it is leased.
    """

    device: Device
    state: str
    note: Note


def device_environment(devices: Sequence[Device]) -> dict[str, str]:
    """Return variables that show a process these devices and no others; without any device they hide all.

    Devices are named by their UUIDs, which mean the same device under any numbering. Where the UUID of one of them is
    unknown, all are named by number, since CUDA reads either numbers or UUIDs.
    """
    named = [device.uuid for device in devices]
    names = ",".join(named if all(named) else [device.index for device in devices])
    return {
        "CUDA_VISIBLE_DEVICES": names,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # numbers as the driver counts; CUDA's own order is by speed
        DEVICES_VARIABLE: names,
        LEASED_VARIABLE: names,
    }


def usable_together(count: int, devices: Sequence[Device]) -> list[Device]:
    """Return the devices of which one process can use `count`: CUDA shows a process at most one MIG instance."""
    return [device for device in devices if count == 1 or not device.is_mig]


def lease_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Return the machine's folder of leases: `BEATSIGHT_LEASE_DIR`, else one in the folder for temporary files."""
    env = os.environ if environment is None else environment
    return Path(env.get(FOLDER_VARIABLE) or Path(tempfile.gettempdir()) / "beatsight-leases")


def join_queue(count: int, devices: Sequence[Device], note: Note | None = None, folder: Path | None = None) -> Ticket:
    """Take a ticket for `count` of these devices; pass it to `try_lease` until that succeeds, then close it."""
    keys = tuple(device_key(device) for device in usable_together(count, devices))
    return take_ticket(folder or lease_folder(), count, keys, note or {})


def try_lease(
    count: int,
    devices: Sequence[Device],
    note: Note | None = None,
    *,
    ticket: Ticket | None = None,
    max_memory_share: float = MAX_MEMORY_SHARE,
    folder: Path | None = None,
) -> Lease | None:
    """Lease `count` devices at once, those with least memory in use first, or none. Does not wait.

    Args:
        count: Number of devices wanted, at least 1.
        devices: Devices that will do, with their present memory use. MIG instances only do for a count of 1.
        note: Words about the holder; kept in the lock for people to read.
        ticket: Ticket of the queue; without one the request stands behind all that wait.
        max_memory_share: Share of memory in use above which a device is left alone.
        folder: Folder of leases instead of `lease_folder()`.

    Raises:
        StorageError: The folder of leases cannot be written.
    """
    place = folder or lease_folder()
    with queue_lock(place, wait=False) as lock:
        if ticket is not None:
            ticket.touch()
        if lock is None:
            return None
        with storage_errors(place), _locked_free(place, devices, max_memory_share) as (free, states):
            ahead = [
                other for other in waiting_requests(place) if ticket is None or other.number < ticket.request.number
            ]
            left = _saved_for(ahead, sorted(free, key=lambda device: device.used_share), states)
            left = usable_together(count, left)
            if count < 1 or len(left) < count:
                return None
            chosen = tuple(left[:count])
            return Lease(chosen, tuple(_keep(free, device, note or {}) for device in chosen))


def device_states(
    devices: Sequence[Device], *, max_memory_share: float = MAX_MEMORY_SHARE, folder: Path | None = None
) -> list[DeviceState]:
    """Return the state of each device."""
    place = folder or lease_folder()
    with queue_lock(place):
        return locked_states(place, devices, max_memory_share)


def locked_states(folder: Path, devices: Sequence[Device], max_memory_share: float) -> list[DeviceState]:
    """Return the state of each device for a caller that holds `queue_lock`."""
    with storage_errors(folder), _locked_free(folder, devices, max_memory_share) as (_, states):
        return [states[device_key(device)] for device in devices]


def device_key(device: Device) -> str:
    """Return the name of a device's lock: its UUID where known, so that it has one name under any numbering."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in device.uuid or device.index)


def lock_path(folder: Path, key: str) -> Path:
    """Return the lock file of a device, by its key."""
    return folder / f"device-{key}.lock"


@contextlib.contextmanager
def _locked_free(
    folder: Path, devices: Sequence[Device], max_memory_share: float
) -> Iterator[tuple[dict[Device, int], dict[str, DeviceState]]]:
    """Lock every device that is free, for the length of the block; those taken out of the table stay locked."""
    free: dict[Device, int] = {}
    states: dict[str, DeviceState] = {}
    try:
        for device in devices:
            make_folder(folder)
            descriptor = open_shared(lock_path(folder, device_key(device)))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                states[device_key(device)] = DeviceState(device, "leased", _read_note(descriptor))
                os.close(descriptor)
                continue
            if device.used_share > max_memory_share:
                states[device_key(device)] = DeviceState(device, "filled", {})
                os.close(descriptor)
            else:
                states[device_key(device)] = DeviceState(device, "free", {})
                free[device] = descriptor
        yield free, states
    finally:
        for descriptor in free.values():
            os.close(descriptor)


def _saved_for(ahead: Sequence[Request], free: list[Device], states: Mapping[str, DeviceState]) -> list[Device]:
    """Return the free devices left when every earlier request has what it takes, or what is being saved up for it."""
    left = list(free)
    for request in ahead:
        reachable = [key for key in request.devices if key not in states or states[key].state != "filled"]
        if request.stale or len(reachable) < request.count:
            continue  # it cannot run now whatever others do, so it holds nobody up
        mine = [device for device in left if device_key(device) in request.devices]
        for device in mine[: request.count]:
            left.remove(device)
    return left


def _keep(free: dict[Device, int], device: Device, note: Note) -> int:
    descriptor = free.pop(device)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, orjson.dumps({**note, "since": time.time()}, default=str), 0)
    return descriptor


def _read_note(descriptor: int) -> Note:
    """Return the words about the holder of a lock; the lock and not the words is the truth."""
    try:
        note = orjson.loads(os.pread(descriptor, 1 << 16, 0))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}

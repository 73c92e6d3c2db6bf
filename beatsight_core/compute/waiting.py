"""Waiting for a lease: in turn, and with a line that says what for and behind whom."""

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from beatsight_core.compute.devices import Device, discover_devices
from beatsight_core.compute.leases import (
    MAX_MEMORY_SHARE,
    REFRESH_S,
    DeviceState,
    Lease,
    device_states,
    join_queue,
    lease_folder,
    try_lease,
    usable_together,
)
from beatsight_core.compute.tickets import Note, Ticket, queue_lock, waiting_requests
from beatsight_core.errors import DeviceError, TimeLimitError


def wait_lease(
    count: int,
    note: Note | None = None,
    *,
    timeout_s: float | None = None,
    poll_s: float = 0.5,
    waiting: Callable[[str], None] | None = None,
    among: Collection[str] | None = None,
    folder: Path | None = None,
) -> Lease:
    """Wait in turn for `count` devices.

    Args:
        count: Number of devices wanted, at least 1.
        note: Words about the caller, for people.
        timeout_s: Seconds to wait at most.
        poll_s: Seconds between attempts.
        waiting: Function that receives the reason of the wait, at first and whenever it changes.
        among: Indices of the devices that will do; default: all that this process may use.
        folder: Folder of leases instead of `lease_folder()`.

    Raises:
        DeviceError: The machine has fewer devices.
        TimeLimitError: The devices did not come free in time.
    """
    began = asked = time.monotonic()
    devices, said = _discover(count, among), ""
    if count > len(devices):
        raise DeviceError(
            f"{count} device(s) were asked for and this machine has {how_many(_discover(1, among))}",
            do="ask for fewer, or use --device cpu",
        )
    with contextlib.closing(join_queue(count, devices, note, folder)) as ticket:
        while (lease := try_lease(count, devices, note, ticket=ticket, folder=folder)) is None:
            story = explain_wait(devices, ticket, folder=folder)
            if waiting is not None and story != said:
                waiting(said := story)
            if timeout_s is not None and time.monotonic() - began > timeout_s:
                raise TimeLimitError(f"No device came free within {timeout_s:g} s", why=story, do="try again later")
            time.sleep(poll_s)
            if time.monotonic() - asked > REFRESH_S:
                devices, asked = _discover(count, among), time.monotonic()
    return lease


def _discover(count: int, among: Collection[str] | None) -> list[Device]:
    found = [device for device in discover_devices() if among is None or device.index in among]
    return usable_together(count, found)


def how_many(devices: Sequence[Device]) -> str:
    """Return the number of devices, in words that say why one process cannot use them all."""
    rule = "; a process can use only one MIG instance" if any(device.is_mig for device in devices) else ""
    return f"{len(devices)}{rule}"


def explain_wait(
    devices: Sequence[Device],
    ticket: Ticket | None = None,
    *,
    max_memory_share: float = MAX_MEMORY_SHARE,
    folder: Path | None = None,
) -> str:
    """Return one line about why a request waits: what each device is doing, and who asked before."""
    place = folder or lease_folder()
    states = device_states(devices, max_memory_share=max_memory_share, folder=place)
    parts = [_story(state) for state in states]
    with queue_lock(place):
        ahead = [other for other in waiting_requests(place) if ticket and other.number < ticket.request.number]
    if ahead:
        parts.append(f"{len(ahead)} asked before: " + ", ".join(who(other.note) for other in ahead[:5]))
    return "; ".join(parts)


def who(note: Note) -> str:
    """Return who asks or holds, in a few words."""
    said = {key: value for key, value in note.items() if key != "since"}
    return " ".join(f"{key} {value}" for key, value in said.items()) or "somebody"


def _story(state: DeviceState) -> str:
    device = state.device
    if state.state == "leased":
        since = state.note.get("since")
        clock = time.strftime(" since %H:%M:%S", time.localtime(since)) if isinstance(since, int | float) else ""
        return f"device {device.index} is held by {who(state.note)}{clock}"
    if state.state == "filled":
        gib = 1024**3
        memory = f"{device.memory_used / gib:.1f} of {device.memory_total / gib:.1f} GiB"
        return f"device {device.index} is filled by another program ({memory} in use)"
    return f"device {device.index} is free"

"""The overview of `beatsight devices`: each device, who holds it and by which processes, who waits and behind whom.

The locks are the truth about who holds: the processes of a holder are those that have its lock file open, whatever the
note in it says. Processes of other users show only to root.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from beatsight_core.compute.devices import Device, discover_devices, driver_versions
from beatsight_core.compute.leases import (
    MAX_MEMORY_SHARE,
    DeviceState,
    device_key,
    lease_folder,
    lock_path,
    locked_states,
)
from beatsight_core.compute.tickets import Note, Request, queue_lock, waiting_requests
from beatsight_core.compute.waiting import who

UNSEEN = "leased, but not visible to this process"


@dataclass(frozen=True, slots=True)
class Process:
    """A process that holds a device.

    Attributes:
        pid: Number of the process.
        command: Command line of the process.
    """

    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class HeldDevice:
    """A device and what it is doing.

    Attributes:
        device: Device that is meant.
        state: State of the device: "free", "leased", or "filled" (by something that holds no lease).
        holder: Words about the holder: `run` and `step`, or `verb` and what it works on, `process` or `pid`.
        since: Time of the lease, in seconds of the epoch.
        processes: Processes that have its lock open now, as far as this user may see them.
    """

    device: Device
    state: str
    holder: Note
    since: float | None
    processes: tuple[Process, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all attributes, those of the device among them."""
        processes = [{"pid": process.pid, "command": process.command} for process in self.processes]
        held = {"state": self.state, "holder": dict(self.holder), "since": self.since, "processes": processes}
        return {**self.device.to_json(), **held}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request in the queue.

    Attributes:
        number: Number of its ticket.
        count: Number of devices that it wants.
        who: Words about the caller.
        since: Time at which it began to wait, in seconds of the epoch.
        stopped: True if it has not asked again for a minute; it is passed over until it does.
        behind: Reasons of the wait: holders of its devices, and requests that came earlier.
    """

    number: int
    count: int
    who: Note
    since: float | None
    stopped: bool
    behind: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all attributes, JSON-safe."""
        return {
            "number": self.number,
            "count": self.count,
            "who": dict(self.who),
            "since": self.since,
            "stopped": self.stopped,
            "behind": list(self.behind),
        }


@dataclass(frozen=True, slots=True)
class Overview:
    """The devices of a machine and its queue, at one moment.

    Attributes:
        devices: Devices that this process may use, then others that are leased.
        waiting: Requests in the order in which they are served.
        versions: Versions that `driver_versions` gives.
        folder: Folder of the leases.
        at: Time of the overview, in seconds of the epoch.
    """

    devices: tuple[HeldDevice, ...]
    waiting: tuple[Waiting, ...]
    versions: Mapping[str, str | None]
    folder: Path
    at: float

    def to_json(self) -> dict[str, Any]:
        """Return all attributes, JSON-safe."""
        return {
            "at": self.at,
            **self.versions,
            "folder": str(self.folder),
            "devices": [entry.to_json() for entry in self.devices],
            "waiting": [entry.to_json() for entry in self.waiting],
        }


def overview(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Overview:
    """Look at devices and queue at once. Takes no device and no place.

    Args:
        environment: Variables to read instead of `os.environ`.
        folder: Folder of leases instead of `lease_folder()`.

    Raises:
        StorageError: The folder of leases cannot be used.
    """
    place, devices = folder or lease_folder(environment), discover_devices(environment)
    with queue_lock(place):  # nobody else looks at the locks meanwhile, so who has one open holds it
        states = locked_states(place, [*devices, *_unseen(place, devices)], MAX_MEMORY_SHARE)
        states = [state for state in states if state.device.name != UNSEEN or state.state == "leased"]
        requests = waiting_requests(place)
        holders = _processes_with({lock_path(place, device_key(state.device)) for state in states})
    held = [_held(state, holders.get(lock_path(place, device_key(state.device)), [])) for state in states]
    waiting = [_waiting(request, states, requests[:earlier]) for earlier, request in enumerate(requests)]
    return Overview(tuple(held), tuple(waiting), driver_versions(), place, time.time())


def _unseen(folder: Path, devices: Sequence[Device]) -> list[Device]:
    """Return devices that have a lock file here and are not among those given."""
    known = {lock_path(folder, device_key(device)).name for device in devices}
    names = sorted(path.name for path in folder.glob("device-*.lock") if path.name not in known)
    return [Device(name.removeprefix("device-").removesuffix(".lock"), UNSEEN, 0, 0, "") for name in names]


def _held(state: DeviceState, pids: Iterable[int]) -> HeldDevice:
    since = state.note.get("since")
    since = since if isinstance(since, int | float) else None
    holder = {key: value for key, value in state.note.items() if key != "since"}
    processes = tuple(process for pid in sorted(pids) if (process := _process(pid)) is not None)
    leased = state.state == "leased"
    return HeldDevice(state.device, state.state, holder, since, processes if leased else ())


def _waiting(request: Request, states: Sequence[DeviceState], earlier: Sequence[Request]) -> Waiting:
    wanted = set(request.devices)
    behind = [
        f"device {state.device.index}: {who(state.note) if state.state == 'leased' else 'another program'}"
        for state in states
        if device_key(state.device) in wanted and state.state != "free"
    ]
    behind += [f"asked before: {who(other.note)}" for other in earlier if wanted & set(other.devices)]
    return Waiting(request.number, request.count, request.note, request.since, request.stale, tuple(behind))


def _processes_with(files: Iterable[Path]) -> dict[Path, list[int]]:
    """Return the processes that have each file open, this one left out. Empty where there is no /proc."""
    wanted = {str(path.resolve()): path for path in files}
    found: dict[Path, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) != os.getpid():
            for target in _open_files(process) & wanted.keys():
                found.setdefault(wanted[target], []).append(int(process.name))
    return found


def _open_files(process: Path) -> set[str]:
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            found.add(str(descriptor.readlink()))
    except OSError:  # it ended meanwhile, or belongs to somebody else
        pass
    return found


def _process(pid: int) -> Process | None:
    try:
        return Process(pid, " ".join(psutil.Process(pid).cmdline())[:200])
    except psutil.Error:
        return None

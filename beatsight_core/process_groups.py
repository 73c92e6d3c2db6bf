"""Groups of processes that are ended together: one leads the group, and what it starts belongs to it."""

import contextlib
import os
import signal
import time

import psutil

_LOOK_S = 0.1


def members(group: int) -> list[int]:
    """Return the processes of a group that have not ended; one that only waits to be asked about has ended."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def wait_for_others(group: int, patience_s: float) -> bool:
    """Wait until nobody of a group is left but this process.

    Args:
        group: Id of the group, which is that of its leader.
        patience_s: Seconds to wait at most.

    Returns:
        Whether the others have ended.
    """
    deadline = time.monotonic() + patience_s
    while set(members(group)) - {os.getpid()}:
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_S)
    return True


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to everybody of a group; nothing if nobody is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)

"""The process of one step: ends with the run that started it, whatever ends that run, and otherwise is Dagster's own.

Started as `python -m beatsight_dagster.executor.step_worker SOCKET PARENT GRACE_S` by `step_processes`, in a session of
its own. It imports what every step needs, and then waits to be told which step it is.
"""

import contextlib
import ctypes
import importlib
import os
import signal
import socket
import sys
import threading
import time

from beatsight_core.sockets import restore_temporary_folder
from beatsight_dagster.executor.step_processes import receive_order

NEEDED_BY_ALL = (
    "dagster._cli.api",
    "dagster._core.storage.event_log",  # SQL, and its migrations
    "polars",
    "pyarrow.parquet",
    "beatsight_dagster.definitions",
)
"""Imported while standing by. Nothing here looks at which devices there are."""

_PR_SET_PDEATHSIG = 1
_WATCH_EVERY_S = 0.5


def main() -> None:
    """Tie this process to its parent, get ready, wait for the order, and execute the step that it names."""
    descriptor, parent, grace_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    reset_signals()
    die_with_parent(parent, grace_s)
    for name in NEEDED_BY_ALL:
        with contextlib.suppress(ImportError):  # the step that needs it will say so
            importlib.import_module(name)
    with socket.socket(fileno=descriptor) as channel:
        environment = receive_order(channel)
    if environment is None:
        return
    os.environ.clear()
    os.environ.update(environment)
    restore_temporary_folder()
    from dagster._cli.api import api_cli

    try:
        api_cli(args=["execute_step"], prog_name="dagster api")  # its argument comes in an environment variable
    finally:
        if os.getppid() != parent:
            _end_session(signal.SIGKILL)  # nobody is left to end this step's own workers


def reset_signals() -> None:
    """Undo ignored signals, which a process started in the background of a script inherits."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def die_with_parent(parent: int, grace_s: float) -> None:
    """End this process and its session when the parent ends: SIGTERM at once, SIGKILL after the grace.

    Args:
        parent: Process id of the run that started this step.
        grace_s: Seconds from the parent's end until the kill.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the line above
        sys.exit("the run that started this step is gone")
    threading.Thread(target=_watch, args=(parent, grace_s), name="parent-watch", daemon=True).start()


def _watch(parent: int, grace_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_EVERY_S)
    _end_session(signal.SIGTERM)
    time.sleep(grace_s)
    _end_session(signal.SIGKILL)


def _end_session(number: int) -> None:
    if os.getpgrp() == os.getpid():  # leads its own group, so nothing of others is in it
        os.killpg(os.getpid(), number)
    else:
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()

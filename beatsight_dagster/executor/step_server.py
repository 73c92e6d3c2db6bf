"""The process that steps are forked from: it has imported what every step needs, so that a step starts at once.

Every message on its socket asks for one step and carries the socket of that step. The forked process says there who it
is, and the server with which exit status it ended. The server keeps the process id reserved until the other end is
closed, so that a signal of the run never reaches another process. It runs no thread of Python's beside its first one,
and opens no database: both would be lost or doubled in a fork.
"""

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
from dataclasses import dataclass, field

from beatsight_dagster.executor.step_processes import ENDED, write_number

NEEDED_BY_ALL = (
    "dagster._cli.api",
    "dagster._core.launcher.default_run_launcher",
    "dagster._core.run_coordinator",
    "dagster._core.storage.event_log",  # SQL, and its migrations
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.storage.runs",
    "dagster._core.storage.sqlite_storage",
    "pyarrow.parquet",
    "pandas",  # pyarrow imports it, where it is installed, when it is given a list
    "beatsight_core.compute.explained",
    "beatsight_dagster.definitions",
)
"""Imported before the first step. Nothing here looks at which devices there are, or starts threads that work."""


def get_ready() -> None:
    """Import what every step needs, and build the job of all assets once."""
    for name in NEEDED_BY_ALL:
        with contextlib.suppress(ImportError):  # the step that needs it will say so
            importlib.import_module(name)
    with contextlib.suppress(Exception):  # likewise
        from beatsight_dagster.definitions import defs

        defs.get_repository_def().get_implicit_global_asset_job_def()
    gc.collect()
    gc.freeze()  # the collections of a step pass over what it shares with the others


@dataclass(slots=True)
class _Children:
    """The steps that were forked and not let go."""

    running: dict[int, socket.socket] = field(default_factory=dict)
    ended: dict[socket.socket, int] = field(default_factory=dict)

    def fork(self, channel: socket.socket) -> bool:
        """Fork a process for a step, and return in both whether this is it."""
        try:
            pid = os.fork()
        except OSError:  # too many processes, or too little memory: the closed socket tells the run
            channel.close()
            return False
        if pid:
            self.running[pid] = channel
            return False
        for other in (*self.running.values(), *self.ended):
            other.close()
        return True

    def note_ends(self) -> list[socket.socket]:
        """Tell the ends that came since, and return the sockets on which they were told."""
        told = []
        for pid, channel in list(self.running.items()):
            end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if end is None:
                continue
            status = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
            if status != 0:  # what is left of its session goes with it
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            del self.running[pid]
            self.ended[channel] = pid
            with contextlib.suppress(OSError):
                write_number(channel, ENDED, status)
            told.append(channel)
        return told

    def let_go(self, channel: socket.socket) -> None:
        """Release the process id of a step whose end was heard."""
        os.waitpid(self.ended.pop(channel), 0)
        channel.close()


def serve(requests: socket.socket) -> socket.socket | None:
    """Fork a process for each request until the other end is closed.

    Args:
        requests: Socket on which steps are asked for.

    Returns:
        In the process of a step: its socket. In the server: None.
    """
    children = _Children()
    awake, waker = socket.socketpair()
    awake.setblocking(False)
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    with selectors.DefaultSelector() as selector:
        for channel in (requests, awake):
            selector.register(channel, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if awake.fileno() in ready:
                with contextlib.suppress(BlockingIOError):
                    awake.recv(4096)
                for told in children.note_ends():
                    selector.register(told, selectors.EVENT_READ)
            for told in [channel for channel in children.ended if channel.fileno() in ready]:
                selector.unregister(told)
                children.let_go(told)
            if requests.fileno() not in ready:
                continue
            step = _accept(requests)
            if step is None:
                return None
            if children.fork(step):
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for left in (requests, awake, waker):
                    left.close()
                return step


def _accept(requests: socket.socket) -> socket.socket | None:
    """The socket of the next step; None if there will be none."""
    try:
        message, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
    except OSError:
        return None
    return socket.socket(fileno=descriptors[0]) if message else None

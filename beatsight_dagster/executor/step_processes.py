"""The processes of steps, as the run sees them: forked from one server that has done all imports, each for one step.

What a process is to do (its environment, and the locks of its devices) reaches it over a socket of its own. The server
says over the same socket which process it is, and how it ended; see `step_server`. Server and steps end by themselves
when this process does.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import orjson

STARTED, ENDED = b"s", b"e"
"""What a number on a step's socket is: the id of its process, or its exit status."""

LENGTH_BYTES = 8
_START_LIMIT_S, _ENDING_S = 120.0, 1.0
_WATCH_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class StepOrder:
    """What the process of a step is told.

    Attributes:
        environment: Whole environment of the step.
        grace_s: Seconds between SIGTERM and SIGKILL when the run dies first.
    """

    environment: Mapping[str, str]
    grace_s: float


class StepProcess:
    """One running process of a step.

    Args:
        pid: Id of the process, which leads a session of its own.
        channel: Socket on which its end is told; as long as it is open, no other process gets that id.
    """

    def __init__(self, pid: int, channel: socket.socket):
        self.pid = pid
        self.returncode: int | None = None
        self._channel = channel

    def has_ended(self) -> bool:
        """Return whether the process has ended; then `returncode` is set, negative if a signal ended it."""
        if self.returncode is None:
            self._channel.setblocking(False)
            try:
                self.returncode = read_number(self._channel, ENDED)
            except BlockingIOError:
                return False
            except ConnectionResetError:  # the server was killed before it had read the whole order
                self.returncode = None
            if self.returncode is None:  # the server is gone, and its steps with it
                self.returncode = -signal.SIGKILL
                _signal_group(self.pid, signal.SIGKILL)
            self._channel.close()
        return True

    def send_signal(self, number: int) -> None:
        """Send a signal to the process and all of its session, unless it has ended."""
        if not self.has_ended():
            _signal_group(self.pid, number)

    def wait(self, deadline: float) -> bool:
        """Wait until the process has ended, killing it at the deadline; return whether it ended by itself.

        Args:
            deadline: Time of `time.monotonic`.
        """
        killed = False
        while not self.has_ended():
            if not killed and time.monotonic() >= deadline:
                self.send_signal(signal.SIGKILL)
                killed = True
            time.sleep(_WATCH_EVERY_S)
        return not killed


@dataclass(frozen=True, slots=True)
class _Server:
    process: subprocess.Popen[bytes]
    requests: socket.socket

    def close(self) -> None:
        """End it."""
        self.requests.close()
        self.process.kill()
        self.process.wait()


class StepProcesses:
    """Starts one process a step."""

    shared: ClassVar["StepProcesses | None"] = None
    """What all runs of this process use; see `one_server`."""

    def __init__(self) -> None:
        self._server: _Server | None = None

    def prepare(self) -> None:
        """Start the server, if there is none, without waiting until it is ready."""
        if self._server is not None and self._server.process.poll() is None:
            return
        self.close()
        with contextlib.suppress(OSError):  # then `start` says why
            self._server = _new_server()

    def start(self, order: StepOrder, descriptors: Sequence[int]) -> StepProcess:
        """Start the process of a step.

        Args:
            order: Environment and grace period of the step.
            descriptors: Open files to pass on; the caller closes its own copies.

        Raises:
            OSError: No process could be started.
        """
        for _ in range(2):  # the server may have been killed meanwhile, or have been unable to fork at that moment
            self.prepare()
            process = self._ask(order, descriptors)
            if process is not None:
                return process
        raise OSError("the server of steps did not answer")

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _ask(self, order: StepOrder, descriptors: Sequence[int]) -> StepProcess | None:
        """Ask the server for a process; None if it did not answer."""
        if self._server is None:
            return None
        ours, theirs = socket.socketpair()
        ours.settimeout(_START_LIMIT_S)
        pid = None
        with contextlib.suppress(OSError):
            with theirs:
                socket.send_fds(self._server.requests, [STARTED], [theirs.fileno()])
            _send_order(ours, order, descriptors)
            pid = read_number(ours, STARTED)
        if pid is None:
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):  # if it is ending, let it end
                self._server.process.wait(_ENDING_S)
            return None
        return StepProcess(pid, ours)


@contextlib.contextmanager
def one_server() -> Iterator[None]:
    """Let all runs that this process carries out inside the block fork their steps from one server, started now."""
    StepProcesses.shared = processes = StepProcesses()
    processes.prepare()
    try:
        yield
    finally:
        StepProcesses.shared = None
        processes.close()


def _new_server() -> _Server:
    ours, theirs = socket.socketpair()
    with theirs:
        # Not Dagster's own `get_command_args()`: its bare `dagster` is whatever is on PATH, or nothing.
        process = subprocess.Popen(
            [sys.executable, "-m", "beatsight_dagster.executor.step_worker", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    return _Server(process, ours)


def write_number(channel: socket.socket, kind: bytes, number: int) -> None:
    """Tell a process id or an exit status."""
    channel.sendall(kind + number.to_bytes(LENGTH_BYTES, "big", signed=True))


def read_number(channel: socket.socket, kind: bytes) -> int | None:
    """Return the next number; None if the other end is closed, or tells something else.

    Raises:
        OSError: Nothing came in time; `BlockingIOError` where there is no time to wait.
    """
    message = channel.recv(len(kind) + LENGTH_BYTES)
    return int.from_bytes(message[1:], "big", signed=True) if message[:1] == kind else None


def _send_order(channel: socket.socket, order: StepOrder, descriptors: Sequence[int]) -> None:
    text = orjson.dumps(order)
    socket.send_fds(channel, [len(text).to_bytes(LENGTH_BYTES, "big")], list(descriptors))
    channel.sendall(text)


def receive_order(channel: socket.socket) -> StepOrder | None:
    """Wait for an order, in the process of the step; None if there will be none. Passed files stay open for good."""
    header, _, _, _ = socket.recv_fds(channel, LENGTH_BYTES, 64)
    if len(header) < LENGTH_BYTES:
        return None
    left, parts = int.from_bytes(header, "big"), []
    while left:
        part = channel.recv(left)
        if not part:
            return None
        parts.append(part)
        left -= len(part)
    return StepOrder(**orjson.loads(b"".join(parts)))


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)

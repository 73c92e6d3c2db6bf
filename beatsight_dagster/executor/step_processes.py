"""Processes for steps, the next one started ahead: it stands by, its imports done, while the step before it runs.

What a process is to do (its environment and the locks of its devices) reaches it over a socket, so a process can wait
for a step that is not known yet. One that stands by ends by itself when this process does.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

LENGTH_BYTES = 8


@dataclass(slots=True)
class _Waiting:
    process: subprocess.Popen[bytes]
    channel: socket.socket


class StepProcesses:
    """Starts one process a step.

    Args:
        grace_s: Seconds between SIGTERM and SIGKILL when this process dies first.
    """

    def __init__(self, grace_s: float):
        self._grace_s = grace_s
        self._waiting: _Waiting | None = None

    def prepare(self) -> None:
        """Let one stand by, if none does."""
        if self._waiting is None:
            with contextlib.suppress(OSError):  # then `start` says why
                self._waiting = self._new()

    def start(self, environment: Mapping[str, str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        """Give a step's order to the process that stands by, or to a new one.

        Args:
            environment: The whole environment of the step.
            descriptors: Open files to pass on; the caller closes its own copies.

        Raises:
            OSError: No process could be started.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.process.poll() is None and _hand_over(waiting, environment, descriptors):
            return waiting.process
        fresh = self._new()
        _hand_over(fresh, environment, descriptors)  # where it fails, its exit code says more
        return fresh.process

    def close(self) -> None:
        """End the process that stands by."""
        if self._waiting is not None:
            self._waiting.channel.close()
            self._waiting.process.send_signal(signal.SIGKILL)
            self._waiting.process.wait()
            self._waiting = None

    def _new(self) -> _Waiting:
        ours, theirs = socket.socketpair()
        with theirs:
            # Not Dagster's own `get_command_args()`: its bare `dagster` is whatever is on PATH, or nothing.
            arguments = [str(theirs.fileno()), str(os.getpid()), str(self._grace_s)]
            process = subprocess.Popen(
                [sys.executable, "-m", "beatsight_dagster.executor.step_worker", *arguments],
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        return _Waiting(process, ours)


def _hand_over(waiting: _Waiting, environment: Mapping[str, str], descriptors: Sequence[int]) -> bool:
    """Send the order; whether it was taken."""
    order = orjson.dumps(dict(environment), option=orjson.OPT_SORT_KEYS)
    with waiting.channel as channel:
        try:
            socket.send_fds(channel, [len(order).to_bytes(LENGTH_BYTES, "big")], list(descriptors))
            channel.sendall(order)
        except OSError:  # it died while it stood by
            return False
    return True


def receive_order(channel: socket.socket) -> dict[str, str] | None:
    """The other end: wait for an order; None if there will be none. Passed files stay open for good."""
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
    order: dict[str, str] = orjson.loads(b"".join(parts))
    return order

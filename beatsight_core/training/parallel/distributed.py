"""A run shared by several processes of this machine, one device each: started, followed and ended from one place.

This is what `torchrun --standalone` does, without its agent: errors come back as the exceptions they were, Ctrl-C and
SIGTERM reach every process, and one that dies takes the others with it. Nothing listens but on the loopback.
"""

import contextlib
import logging
import math
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from beatsight_core.compute.leases import LEASED_VARIABLE
from beatsight_core.errors import BeatSightError, DeviceError, TimeLimitError, TrainingError
from beatsight_core.progress import Progress
from beatsight_core.training.machine.interrupts import StopRequest, stop_on_signals
from beatsight_core.training.parallel.rank import HOST, RankTask
from beatsight_core.training.parallel.relay import Ended, Message, Receiver
from beatsight_core.training.tracking.tracking import FINISH_WAIT_S

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    from beatsight_core.training.parallel.ranks import Ranks

logger = logging.getLogger("beatsight")

Result = TypeVar("Result")

_LOOK_S = 0.2
_LEAVE_S = 10.0
"""Seconds for a process to end when it has sent how."""

_STRAGGLE_S = FINISH_WAIT_S + 5.0
"""Seconds for the others once one has stopped in good order."""

_JOINT_ENDS = (KeyboardInterrupt, TimeLimitError)
"""Ends that all processes come to together, after a checkpoint."""


FEW = 4
"""Number of processes that may share a run on any CPU, to try it out."""


def process_count(wanted: int, device: str, on_cuda: bool) -> int:
    """Return the number of processes that share a run.

    Args:
        wanted: Number in the training configuration; 0 for one per device leased to this process.
        device: Name of the device as asked for; "cuda:1" names one device.
        on_cuda: True on a CUDA device.

    Raises:
        DeviceError: Fewer devices, or processors, are there than processes wanted.
    """
    if not on_cuda:
        most = max(os.cpu_count() or 1, FEW)
        if wanted > most:
            why = "more would only wait for one another, and each takes memory of its own"
            raise DeviceError(f"{wanted} processes were asked for on the CPU", why=why, do=f"use at most {most}")
        return max(wanted, 1)
    import torch

    visible = 1 if ":" in device else torch.cuda.device_count()
    if wanted > visible:
        why = "each process needs a device of its own"
        raise DeviceError(f"{wanted} processes were asked for on {visible} device(s)", why=why, do="--set processes=0")
    return wanted or (visible if os.environ.get(LEASED_VARIABLE) else 1)


def share_run(count: int, work: "Callable[[Ranks, Progress], Result]", progress: Progress, *, on_cuda: bool) -> Result:
    """Let several processes do the same work, each with its `Ranks`, and wait for all.

    Args:
        count: Number of processes.
        work: Function that is importable by name, or a partial of such a one.
        progress: Progress view that shows what the first of them shows.
        on_cuda: True if each has a CUDA device, else all are on the CPU.

    Returns:
        The result of the first process.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came; all have stopped, after the same step.
        TrainingError: One was killed. Errors of the work come as they are; the other processes are then ended.
    """
    logger.info("shared by %d processes", count)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        store = _rendezvous()
        receiver = stack.enter_context(Receiver(progress))
        level = logger.getEffectiveLevel()
        processes = [
            stack.enter_context(_Process(RankTask(number, count, store.port, on_cuda, level, work)))
            for number in range(count)
        ]
        result: Result = _follow(processes, receiver, stop)
        return result


class _Process:
    """One of the processes. A context manager: it has ended after the block."""

    def __init__(self, task: RankTask):
        ours, theirs = socket.socketpair()
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "beatsight_core.training.parallel.rank", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()], env=_environment(task.count),
            )  # fmt: skip
        self.connection = Connection(ours.detach())
        self.number = task.number
        with contextlib.suppress(BrokenPipeError):  # it died; its end is heard of where messages are taken
            self.connection.send(sys.path)
            self.connection.send_bytes(pickle.dumps(task))

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._popen.kill()
        try:
            self._popen.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self.connection.close()

    def terminate(self) -> None:
        """Ask it to stop."""
        self._popen.terminate()

    def receive(self) -> Message:
        """Return its next message.

        Raises:
            TrainingError: The process has died.
        """
        try:
            message: Message = pickle.loads(self.connection.recv_bytes())
            return message
        except (EOFError, ConnectionResetError):
            code = self._popen.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise TrainingError(
            f"Process {self.number} of the run ended {how}",
            why="most often the system ran out of memory and chose it" if code == -signal.SIGKILL else None,
            do="run the same command again, without --fresh: it goes on from the last checkpoint",
        )


def _follow(processes: list[_Process], receiver: Receiver, stop: StopRequest) -> Any:
    """Show what the processes send until all have ended, or one has in a way that the others do not survive."""
    left = {process.connection: process for process in processes}
    results: dict[int, Any] = {}
    joint_end: BaseException | None = None
    asked, patience = False, math.inf
    while left and time.monotonic() < patience:
        if stop and not asked:
            asked = True
            for process in left.values():
                process.terminate()
        for process, message in _messages(left, stop):
            if not isinstance(message, Ended):
                receiver.show(message)
                continue
            results[process.number] = message.result
            del left[process.connection]
            if isinstance(message.error, _JOINT_ENDS):
                joint_end, patience = message.error, min(patience, time.monotonic() + _STRAGGLE_S)
            elif message.error is not None:
                raise _first_cause(message.error, list(left.values()), stop)
    if joint_end is not None:
        raise joint_end
    return results[0]


def _messages(left: dict[Connection, _Process], stop: StopRequest) -> Iterator[tuple[_Process, Message]]:
    """Give the messages that have come, a message of each process that sent any; waits a moment for some."""
    for ready in wait(list(left), _LOOK_S):
        process = left[ready]  # type: ignore[index]
        yield process, _received(process, stop)


def _received(process: _Process, stop: StopRequest) -> Message:
    try:
        return process.receive()
    except TrainingError:
        if stop:  # it was not yet ready to stop in good order
            raise KeyboardInterrupt from None
        raise


def _first_cause(error: BaseException, others: list[_Process], stop: StopRequest) -> BaseException:
    """Return the error to raise: one that is not ours may only say that another process is gone, which says why.

    Raises:
        TrainingError: One of the others was killed.
        KeyboardInterrupt: The same, after a signal.
    """
    if isinstance(error, BeatSightError):
        return error
    for process in others:
        while process.connection.poll():
            message = _received(process, stop)
            if isinstance(message, Ended):
                if isinstance(message.error, BeatSightError):
                    return message.error
                break
    return error


def _rendezvous() -> "TCPStore":
    """Return the store by which the processes find each other, on a free port of the loopback."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    listener = socket.create_server((HOST, 0))
    port = listener.getsockname()[1]
    return TCPStore(HOST, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())


def _environment(count: int) -> dict[str, str]:
    """Return the variables of a process: it talks over the loopback, and shares the machine's cores."""
    loopback = next(
        (name for name, addresses in psutil.net_if_addrs().items() for it in addresses if it.address == HOST), "lo"
    )
    threads = max(1, (os.cpu_count() or 1) // count)
    usual = {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback, "OMP_NUM_THREADS": str(threads)}
    return usual | dict(os.environ)

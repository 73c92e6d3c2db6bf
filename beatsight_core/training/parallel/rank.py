"""One of the processes that share a run: `python -m beatsight_core.training.parallel.rank DESCRIPTOR PARENT`.

It ends at once when the process that started it is gone: what that left on disk is whole, and the run goes on from its
last checkpoint.
"""

import ctypes
import datetime
import logging
import os
import pickle
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.training.parallel.relay import LogSender, Sender, SentProgress

if TYPE_CHECKING:
    from beatsight_core.training.parallel.ranks import Ranks

HOST = "127.0.0.1"
PATIENCE = datetime.timedelta(hours=12)
"""Time that the others wait for one whose host is busy, as the first is while it validates. Whoever started them ends
them all when one is gone."""

STEP_PATIENCE = datetime.timedelta(minutes=30)
"""Time that a sum over devices waits. All are in the same step then, or compile the same net, so one that is later than
this has failed on its way there."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class RankTask:
    """The task of one process of those that share a run.

    Attributes:
        number: Number of the process, from 0.
        count: Number of processes.
        port: Port by which they find each other.
        on_cuda: True if they compute on CUDA devices.
        level: Least level of log records worth sending.
        work: Function that is called with its `Ranks` and a `Progress`; importable by name, or a partial of such a one.
    """

    number: int
    count: int
    port: int
    on_cuda: bool
    level: int
    work: "Callable[[Ranks, Progress], Any]"


def main() -> None:
    """Take the task, do it, and send how it ended."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    connection = Connection(descriptor)
    sys.path[:] = connection.recv()
    task: RankTask = pickle.loads(connection.recv_bytes())
    sender = Sender(connection)
    logger = logging.getLogger("beatsight")
    logger.setLevel(task.level if task.number == 0 else logging.WARNING)
    logger.addHandler(LogSender(sender))
    logger.propagate = False
    result, error = None, None
    try:
        result = _work(task, sender)
    except BaseException as failed:  # noqa: BLE001 - it is raised again, by the process that started this one
        error = failed
    sender.ended(result, error)
    connection.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if error is None else 1)  # without waiting for threads that wait for other processes


def die_with(parent: int) -> None:
    """Let the system end this process when the parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        sys.exit("the process that started this one is gone")


def _work(task: RankTask, sender: Sender) -> Any:
    import torch
    import torch.distributed as dist
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    from beatsight_core.training.parallel.ranks import Ranks

    if task.on_cuda:
        torch.cuda.set_device(task.number)
    store = TCPStore(HOST, task.port, is_master=False, timeout=PATIENCE)
    backend = "cpu:gloo,cuda:nccl" if task.on_cuda else "gloo"
    dist.init_process_group(backend, store=store, rank=task.number, world_size=task.count, timeout=STEP_PATIENCE)
    hosts = dist.new_group(backend="gloo", timeout=PATIENCE)
    progress = SentProgress(sender) if task.number == 0 else SilentProgress()
    return task.work(Ranks(task.number, task.count, hosts), progress)


if __name__ == "__main__":
    main()

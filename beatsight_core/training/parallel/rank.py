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
from typing import Any

from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.training.parallel.relay import LogSender, Sender, SentProgress

HOST = "127.0.0.1"
PATIENCE = datetime.timedelta(hours=12)
"""How long the others wait for one whose host is busy, as the first is while it validates. Whoever started them ends
them all when one is gone."""

STEP_PATIENCE = datetime.timedelta(minutes=30)
"""How long a sum over devices waits. All are in the same step then, or compile the same net, so one that is later than
this has failed on its way there."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to do.

    Attributes:
        number: Which one it is, from 0.
        count: How many there are.
        port: Where they find each other.
        on_cuda: Whether they compute on CUDA devices.
        level: Of log records worth sending.
        work: Called with its `Ranks` and a `Progress`; importable by name, or a partial of such a one.
    """

    number: int
    count: int
    port: int
    on_cuda: bool
    level: int
    work: Callable[[Any, Progress], Any]


def main() -> None:
    """Take the job, do it, and tell how it ended."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    connection = Connection(descriptor)
    sys.path[:] = connection.recv()
    job: Job = pickle.loads(connection.recv_bytes())
    sender = Sender(connection)
    logger = logging.getLogger("beatsight")
    logger.setLevel(job.level if job.number == 0 else logging.WARNING)
    logger.addHandler(LogSender(sender))
    logger.propagate = False
    result, error = None, None
    try:
        result = _work(job, sender)
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


def _work(job: Job, sender: Sender) -> Any:
    import torch
    import torch.distributed as dist
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    from beatsight_core.training.parallel.ranks import Ranks

    if job.on_cuda:
        torch.cuda.set_device(job.number)
    store = TCPStore(HOST, job.port, is_master=False, timeout=PATIENCE)
    backend = "cpu:gloo,cuda:nccl" if job.on_cuda else "gloo"
    dist.init_process_group(backend, store=store, rank=job.number, world_size=job.count, timeout=STEP_PATIENCE)
    hosts = dist.new_group(backend="gloo", timeout=PATIENCE)
    progress = SentProgress(sender) if job.number == 0 else SilentProgress()
    return job.work(Ranks(job.number, job.count, hosts), progress)


if __name__ == "__main__":
    main()

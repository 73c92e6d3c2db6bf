"""Processes for the heavy parts of a catalog, and none where starting them would cost more than it saves."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

import pyarrow as pa

from beatsight_core.errors import BeatSightError

T = TypeVar("T")

MAX_WORKERS = 4
"""More would only wait for the one process that writes."""

Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""What `map` is for functions of one argument."""


@contextlib.contextmanager
def workers(count: int) -> Iterator[Mapper]:
    """Give a `map` whose results come in the order of its inputs; with a `count` of 1 it works in this process.

    Functions and inputs must be picklable. Few results are ever held: inputs are taken as results are.
    """
    if count <= 1:
        yield map
        return
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_start)
    try:
        yield lambda function, inputs: _ordered(pool, count + 2, function, inputs)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def worker_count(wanted: int) -> int:
    """How many processes a setting means; 0 is one per core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(wanted or cores, MAX_WORKERS)


def _ordered(pool: ProcessPoolExecutor, ahead: int, function: Callable[[Any], T], inputs: Iterable[Any]) -> Iterator[T]:
    waiting: deque[Future[T]] = deque()
    try:
        for item in inputs:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise BeatSightError(
            "A worker process ended before its work was done",
            why="it was killed, most often because memory ran out",
            do="close other programs or set dataset.workers = 1, then run the same command again",
        ) from error


def _start() -> None:
    """Make a worker leave interrupts to its parent, end with it, and use one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)

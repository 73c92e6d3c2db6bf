"""Running jobs in worker processes: a bounded queue, clear ends, nothing left behind.

Workers are forked from a small server process that has imported what their function needs and nothing of the calling
program. They leave Ctrl-C to the parent, and end when it is gone, however it went.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

import pyarrow as pa

from beatsight_core.errors import BeatSightError

Key = TypeVar("Key")
Job = TypeVar("Job")
Result = TypeVar("Result")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h

QUEUED_PER_WORKER = 2
"""Jobs handed out or waiting per worker: enough to keep it busy, few enough to keep memory flat."""


def worker_count(wanted: int) -> int:
    """How many workers to use: as many as wanted, or one per core that this process may use."""
    if wanted > 0:
        return wanted
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerPool(Generic[Job, Result]):
    """Processes that apply one function to many jobs. A context manager: they end with the block.

    Args:
        function: Importable by name.
        workers: Processes; with one, or inside a process that may have no children, `run` works right here.
    """

    def __init__(self, function: Callable[[Job], Result], workers: int):
        self._function = function
        self._workers = 1 if multiprocessing.current_process().daemon else workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "WorkerPool[Job, Result]":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, jobs: int) -> None:
        """Start the processes for a number of jobs, so that they get ready meanwhile; `run` does it otherwise."""
        workers = min(self._workers, jobs)
        if self._pool is None and workers > 1:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([__name__, self._function.__module__])
            self._pool = ProcessPoolExecutor(workers, context, initializer=_begin_worker)
            with _anonymous_main():
                for _ in range(workers):
                    self._pool.submit(_nothing)

    def run(self, jobs: Iterable[tuple[Key, Job]], count: int) -> Iterator[tuple[Key, Result]]:
        """Apply the function to jobs; results come as they are ready.

        Args:
            jobs: (key, job), taken as room comes up.
            count: How many they are.

        Yields:
            (key, result) of each job.

        Raises:
            BeatSightError: A worker was killed. Errors of the function come as they are.
        """
        self.start(count)
        if self._pool is None:
            yield from ((key, self._function(job)) for key, job in jobs)
            return
        try:
            yield from self._through(self._pool, jobs)
        except BrokenProcessPool as error:
            raise BeatSightError(
                "A worker process was killed",
                why="most often the system ran out of memory and chose it",
                do="run the same command again, with fewer workers if memory is short; finished shards are kept",
            ) from error

    def _through(self, pool: ProcessPoolExecutor, jobs: Iterable[tuple[Key, Job]]) -> Iterator[tuple[Key, Result]]:
        waiting: dict[Future[Result], Key] = {}
        for key, job in jobs:
            waiting[pool.submit(self._function, job)] = key
            if len(waiting) >= QUEUED_PER_WORKER * self._workers:
                yield from _finished(waiting)
        while waiting:
            yield from _finished(waiting)


def _finished(waiting: dict[Future[Result], Key]) -> Iterator[tuple[Key, Result]]:
    """Wait for at least one job, and take all that are done out of `waiting`."""
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        yield waiting.pop(future), future.result()


@contextlib.contextmanager
def _anonymous_main() -> Iterator[None]:
    """Start workers that do not import the calling program: it may be large, or a script that would run again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _nothing() -> None:
    """The first job of each worker: it makes the pool start them."""


def _begin_worker() -> None:
    pa.set_cpu_count(1)
    _keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _keep_freed_memory() -> None:
    """Let the next file use the last one's memory: getting fresh pages from the system costs a tenth of an export."""
    with contextlib.suppress(AttributeError, OSError):  # only glibc has it
        set_option = ctypes.CDLL(None).mallopt
        set_option(_M_MMAP_THRESHOLD, 1 << 25)  # the most that it takes
        set_option(_M_TRIM_THRESHOLD, 1 << 30)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)

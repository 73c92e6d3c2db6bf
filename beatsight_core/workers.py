"""Running jobs in worker processes: a bounded queue, clear ends, nothing left behind.

Workers are forked from a small server process that has imported what their function needs and nothing of the calling
program. Each uses one core. They leave Ctrl-C to the parent, and end when it is gone, however it went.
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
from multiprocessing import forkserver, resource_tracker
from typing import Generic, TypeVar

import pyarrow as pa

from beatsight_core.errors import BeatSightError
from beatsight_core.sockets import use_socket_folder

Key = TypeVar("Key")
Job = TypeVar("Job")
Result = TypeVar("Result")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h

QUEUED_PER_WORKER = 2
"""Jobs handed out or waiting per worker: enough to keep it busy, few enough to keep memory flat."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}
"""What libraries read when they are loaded: a matrix product split over threads would differ in its last bit."""


def worker_count(wanted: int) -> int:
    """Return how many workers to use: as many as wanted, or one per core that this process may use."""
    if wanted > 0:
        return wanted
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare_workers(function: Callable[[Job], Result]) -> None:
    """Start the process that workers are forked from, without waiting for it: meanwhile it imports what they need.

    Args:
        function: Function that the workers will apply; the first call's counts.
    """
    use_socket_folder()
    # pyarrow imports pandas, where it is installed, when it is given a list: once here rather than in each worker.
    _context().set_forkserver_preload([__name__, getattr(function, "func", function).__module__, "pandas"])
    resource_tracker.ensure_running()  # it ends with interrupts let through, so it must not come later
    with _interrupts_held(), _set_for_children(ONE_THREAD), _anonymous_main():
        forkserver.ensure_running()


class WorkerPool(Generic[Job, Result]):
    """Processes that apply one function to many jobs. A context manager: they end with the block.

    Args:
        function: Function that is importable by name, or a partial of such a one.
        workers: Number of processes; with one, or inside a process that may have no children, the work is done here.
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

    def start(self, jobs: int | None = None) -> None:
        """Start the processes for a number of jobs, so that they get ready meanwhile; `run` and `map` do it otherwise.

        Args:
            jobs: Number of jobs, if known: no more processes are started.
        """
        workers = self._workers if jobs is None else min(self._workers, jobs)
        if self._pool is not None or workers <= 1:
            return
        prepare_workers(self._function)
        with _interrupts_held(), _set_for_children(ONE_THREAD), _anonymous_main():
            self._pool = ProcessPoolExecutor(workers, _context(), initializer=_begin_worker)
            for _ in range(workers):
                self._pool.submit(_nothing)

    def run(self, jobs: Iterable[tuple[Key, Job]], count: int | None = None) -> Iterator[tuple[Key, Result]]:
        """Apply the function to jobs, and yield results as they are ready.

        Args:
            jobs: Pairs (key, job), taken as room comes up.
            count: Number of jobs, if known.

        Yields:
            (key, result) of each job.

        Raises:
            BeatSightError: A worker was killed. Errors of the function come as they are.
        """
        return self._results(jobs, count, _ready)

    def map(self, jobs: Iterable[Job], count: int | None = None) -> Iterator[Result]:
        """Apply the function to jobs, and yield results in the order of the jobs.

        Args:
            jobs: Jobs, taken as room comes up.
            count: Number of jobs, if known.

        Raises:
            BeatSightError: A worker was killed. Errors of the function come as they are.
        """
        for _, result in self._results(((None, job) for job in jobs), count, _oldest):
            yield result

    def _results(
        self,
        jobs: Iterable[tuple[Key, Job]],
        count: int | None,
        take: Callable[[dict[Future[Result], Key]], Iterator[tuple[Key, Result]]],
    ) -> Iterator[tuple[Key, Result]]:
        self.start(count)
        if self._pool is None:
            yield from ((key, self._function(job)) for key, job in jobs)
            return
        waiting: dict[Future[Result], Key] = {}
        try:
            for key, job in jobs:
                waiting[self._submit(self._pool, job)] = key
                if len(waiting) >= QUEUED_PER_WORKER * self._workers:
                    yield from take(waiting)
            while waiting:
                yield from take(waiting)
        except BrokenProcessPool as error:
            raise BeatSightError(
                "A worker process was killed",
                why="most often the system ran out of memory and chose it",
                do="run the same command again, with fewer workers if memory is short; what is finished is kept",
            ) from error

    def _submit(self, pool: ProcessPoolExecutor, job: Job) -> Future[Result]:
        with _interrupts_held(), _anonymous_main():  # the pool may only now start its last process
            return pool.submit(self._function, job)


def _ready(waiting: dict[Future[Result], Key]) -> Iterator[tuple[Key, Result]]:
    """Wait for at least one job, and take all that are done."""
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        yield waiting.pop(future), future.result()


def _oldest(waiting: dict[Future[Result], Key]) -> Iterator[tuple[Key, Result]]:
    """Wait for the job that was handed out first, and take it."""
    future = next(iter(waiting))
    yield waiting.pop(future), future.result()


def _context() -> multiprocessing.context.ForkServerContext:
    return multiprocessing.get_context("forkserver")


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back for a moment, and for good in processes that are started meanwhile.

    A child would otherwise hear it before it has said that it leaves interrupts to its parent.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _set_for_children(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


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
    """Let the next job use the last one's memory: getting fresh pages from the system costs a tenth of an export."""
    with contextlib.suppress(AttributeError, OSError):  # only glibc has it
        set_option = ctypes.CDLL(None).mallopt
        set_option(_M_MMAP_THRESHOLD, 1 << 25)  # the most that it takes
        set_option(_M_TRIM_THRESHOLD, 1 << 30)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)

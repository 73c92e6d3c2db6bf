"""Independent batches on all cores, each batch on one of them; and what is too small to share out, on one."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait


def on_all_cores(compute: Callable[[int], None], items: Sequence[int]) -> None:
    """Call `compute` for every item, from as many threads as torch may use, each with one core to itself.

    Nobody waits for anybody. Threads inside torch's operations meet after each operation instead, and on a busy machine
    the slowest sets the pace of all: ten times slower was seen with three busy processes on two cores.

    Args:
        compute: Function that works on one item by torch operations, which let other threads run.
        items: Items to call it with.
    """
    import torch

    threads = torch.get_num_threads()
    if threads == 1 or len(items) < threads:
        for item in items:
            compute(item)
        return
    under_way = [_pool(threads).submit(compute, item) for item in items]
    try:
        for each in under_way:
            each.result()
    finally:
        for each in under_way:
            each.cancel()
        wait(under_way)
        torch.set_num_threads(threads)  # each thread has its own number, and new ones start with the last one set


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return threads with one core each, kept for the next call: new ones would have to plan their transforms anew."""
    import torch

    return ThreadPoolExecutor(threads, "cores", initializer=torch.set_num_threads, initargs=(1,))


@contextlib.contextmanager
def on_one_core() -> Iterator[None]:
    """Let torch's operations inside use the calling thread alone.

    Another thread that has to be woken costs more than copying a small batch: on two idle cores a batch of 32 clips
    takes 28 us on one of them and 110 us on both.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

"""Keep Python's garbage collector away from objects that stay until the end of the tests; each training calls it."""

import gc


def all_here_stays() -> None:
    """Tell the collector to pass over all present objects: modules are hundreds of thousands of them, and fixtures."""
    gc.collect()
    gc.freeze()

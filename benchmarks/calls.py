"""Functions of a module as commands: `python -m benchmarks.reference parse FILE` prints what `parse(FILE)` returns."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def serve(functions: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Call the function that the command line names with its words, and print its result as one JSON object."""
    name, *words = sys.argv[1:]
    print(json.dumps(functions[name](*words)))


class Stopwatch:
    """Sums the seconds of its `running` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time of the block."""
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began

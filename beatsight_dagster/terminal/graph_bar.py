"""A bar under the lines of a graph in a terminal: steps done, the time, and what the step under way says of itself."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator

Say = Callable[[str], None]

_STEP_DONE = "\u2713 "
_UNDER_WAY = re.compile(r"^ {4}.*: .* s left\b")
"""A line of the library's progress that a later one replaces; see `beatsight_core.progress`."""


@contextlib.contextmanager
def lines_with_bar(steps: int) -> Iterator[Say]:
    """Give what prints a line of the graph: above a bar if standard error is a terminal, as it is if not.

    Args:
        steps: Number of steps that the graph has.
    """
    if not sys.stderr.isatty():
        yield lambda line: print(line, file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn(),
        TextColumn("{task.fields[now]}", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=steps, now="")

        def say(line: str) -> None:
            if _UNDER_WAY.match(line):
                bars.update(bar, now=line.strip(), refresh=True)
                return
            bars.update(bar, advance=float(line.startswith(_STEP_DONE)), now="", refresh=True)
            bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield say

"""Progress of long work: a live view in a terminal, a log line every ten seconds elsewhere.

A `Progress` hands out one `Task` per piece of work. Every task counts `done` of `total`, carries further named numbers,
if need be a breakdown of them by part, and passes all that to an optional listener (Dagster's live metadata).
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from beatsight_core.safe_text import for_terminal

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

logger = logging.getLogger("beatsight")

LOG_INTERVAL_S = 10.0

_DRAW_EVERY_S = 0.25
"""How often a bar moves. Moving it at every step of training cost more than a quarter of a short step's host time."""

Listener = Callable[[str, dict[str, float]], None]
"""Hears a task's name and its numbers every `LOG_INTERVAL_S` and at its end; those of a part as "part: number"."""

Breakdown = Mapping[str, Mapping[str, float]]
"""Part -> its numbers, by name."""


class Task(Protocol):
    """A piece of work under way."""

    def advance(self, count: float = 1, **numbers: float) -> None:
        """Add `count` to what is done; `numbers` replace those shown beside it."""

    def skip(self, count: float) -> None:
        """Count what an earlier attempt did: it is done, and says nothing about the rate."""

    def set_total(self, total: float) -> None:
        """Say how much there is, once it is known."""

    def breakdown(self, parts: Breakdown) -> None:
        """Show the numbers of each part beside the others from now on; the caller goes on counting in `parts`."""


class Progress:
    """A reporter of tasks by log lines: name, done, total, rate, ETA, numbers. Base of the live view."""

    def __init__(self, listener: Listener | None = None):
        self._listener = listener

    @contextlib.contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        """Open a task; its last line is written when the block ends."""
        task = _LoggedTask(name, total, unit, self._listener)
        try:
            yield task
        finally:
            task.report(final=True)


class SilentProgress(Progress):
    """A progress that shows nothing; a listener still receives the numbers."""

    @contextlib.contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        """Open a task that only its listener receives numbers of."""
        task = _LoggedTask(name, total, unit, self._listener, level=logging.DEBUG)
        try:
            yield task
        finally:
            task.report(final=True)


class RichProgress(Progress):
    """A progress with a live bar per task on standard error, and under it a table where the task has parts."""

    @contextlib.contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        """Open a bar."""
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            TextColumn("{task.description}", style="bold", markup=False), BarColumn(), MofNCompleteColumn(),
            TextColumn(unit, markup=False), TextColumn("[cyan]{task.fields[rate]}"), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        task = _BarTask(bars, bars.add_task(for_terminal(name), total=total, rate=""), name, self._listener)
        with Live(
            get_renderable=lambda: Group(bars, *task.below()),
            console=Console(stderr=True),
            refresh_per_second=1 / _DRAW_EVERY_S,
        ):
            try:
                yield task
            finally:
                task.draw()
        task.tell()


def progress_for_terminal(listener: Listener | None = None) -> Progress:
    """Return the live view if standard error is a terminal, log lines if not."""
    return RichProgress(listener) if sys.stderr.isatty() else Progress(listener)


class _LoggedTask:
    def __init__(
        self, name: str, total: float | None, unit: str, listener: Listener | None, *, level: int = logging.INFO
    ):
        self._name, self._total, self._unit, self._listener, self._level = name, total, unit, listener, level
        self._done = self._skipped = 0.0
        self._numbers: dict[str, float] = {}
        self._parts: Breakdown = {}
        self._began = self._reported = time.monotonic()

    def advance(self, count: float = 1, **numbers: float) -> None:
        self._done += count
        self._numbers |= numbers
        if time.monotonic() - self._reported >= LOG_INTERVAL_S:
            self.report()

    def skip(self, count: float) -> None:
        self._done += count
        self._skipped += count

    def set_total(self, total: float) -> None:
        self._total = total

    def breakdown(self, parts: Breakdown) -> None:
        self._parts = parts

    def report(self, *, final: bool = False) -> None:
        self._reported = time.monotonic()
        elapsed = self._reported - self._began
        rate = (self._done - self._skipped) / elapsed if elapsed > 0 else 0.0
        digits = 1 if self._total and self._total < 100 and self._total % 1 else 0
        amount = f"{self._done:,.{digits}f}" + (f" of {self._total:,.{digits}f}" if self._total else "")
        line = f"{self._name}: {amount} {self._unit}".rstrip() + f", {rate:,.0f}/s"
        if final:
            line += f", {elapsed:.1f} s"
        elif self._total and rate > 0:
            line += f", {max(self._total - self._done, 0) / rate:,.0f} s left"
        logger.log(self._level, line + _numbers_text(self._numbers, ", "))
        for part, numbers in self._parts.items():
            logger.log(self._level, f"{self._name}, {part}: {_numbers_text(numbers)}")
        if self._listener:
            done = {"done": self._done, "total": self._total or self._done}
            self._listener(self._name, done | _flat(self._numbers, self._parts))


class _BarTask:
    def __init__(self, bars: "Bars", bar: "TaskID", name: str, listener: Listener | None):
        self._bars, self._bar, self._name, self._listener = bars, bar, name, listener
        self._numbers: dict[str, float] = {}
        self._parts: Breakdown = {}
        self._heard = self._drawn = time.monotonic()
        self._not_drawn = 0.0

    def advance(self, count: float = 1, **numbers: float) -> None:
        self._numbers |= numbers
        self._not_drawn += count
        now = time.monotonic()
        if now - self._drawn >= _DRAW_EVERY_S:
            self.draw()
        if now - self._heard >= LOG_INTERVAL_S:
            self.tell()

    def draw(self) -> None:
        """Move the bar by what was done since it last moved."""
        self._drawn = time.monotonic()
        self._bars.update(self._bar, advance=self._not_drawn)
        self._not_drawn = 0.0
        task = self._bars.tasks[self._bar]
        if task.speed:
            self._bars.update(self._bar, rate=f"{task.speed:,.0f}/s")

    def skip(self, count: float) -> None:
        self.draw()
        self._bars.reset(self._bar, completed=int(self._bars.tasks[self._bar].completed + count))

    def set_total(self, total: float) -> None:
        self._bars.update(self._bar, total=total)

    def breakdown(self, parts: Breakdown) -> None:
        self._parts = parts

    def tell(self) -> None:
        """Tell the listener."""
        self.draw()
        self._heard = time.monotonic()
        if self._listener:
            task = self._bars.tasks[self._bar]
            done = {"done": task.completed, "total": task.total or task.completed}
            self._listener(self._name, done | _flat(self._numbers, self._parts))

    def below(self) -> "Iterator[RenderableType]":
        """What stands under the bar: the numbers, and a table of the parts."""
        from rich.table import Table
        from rich.text import Text

        if self._numbers:
            yield Text(_numbers_text(self._numbers), style="dim")
        if self._parts:
            names = list(dict.fromkeys(name for numbers in list(self._parts.values()) for name in list(numbers)))
            table = Table("", *names, box=None, header_style="dim")
            for part, numbers in list(self._parts.items()):
                table.add_row(Text(for_terminal(part)), *(_amount(numbers.get(name, 0)) for name in names))
            yield table


def _flat(numbers: Mapping[str, float], parts: Breakdown) -> dict[str, float]:
    inner = {f"{part}: {name}": value for part, mine in parts.items() for name, value in mine.items()}
    return dict(numbers) | inner


def _numbers_text(numbers: Mapping[str, float], start: str = "") -> str:
    text = "  ".join(f"{name} {_amount(value)}" for name, value in numbers.items())
    return start + text if text else ""


def _amount(value: float) -> str:
    return f"{value:,.4g}" if value % 1 and value < 1000 else f"{value:,.0f}"

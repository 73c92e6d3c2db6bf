"""How long work shows where it is: a live view in a terminal, a log line every ten seconds elsewhere.

A `Progress` hands out one `Task` per piece of work. Every task counts `done` of `total`, carries further named numbers,
and passes the same numbers to an optional listener (Dagster's live metadata).
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

logger = logging.getLogger("beatsight")

LOG_INTERVAL_S = 10.0
Listener = Callable[[str, dict[str, float]], None]


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, count: float = 1, **numbers: float) -> None:
        """Add `count` to what is done; `numbers` replace those shown beside it."""

    def set_total(self, total: float) -> None:
        """Say how much there is, once it is known."""


class Progress:
    """Reports tasks by log lines: name, done, total, rate, ETA, numbers. Base of the live view."""

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
    """Shows nothing; a listener still hears."""

    @contextlib.contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        """Open a task that only its listener hears of."""
        task = _LoggedTask(name, total, unit, self._listener, level=logging.DEBUG)
        try:
            yield task
        finally:
            task.report(final=True)


class RichProgress(Progress):
    """A live bar per task on standard error."""

    @contextlib.contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        """Open a bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
            TextColumn("[cyan]{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[numbers]}"), console=Console(stderr=True),
        )  # fmt: skip
        with bars:
            bar = bars.add_task(name, total=total, rate="", numbers="")
            yield _BarTask(bars, bar, name, unit, self._listener)


def progress_for_terminal(listener: Listener | None = None) -> Progress:
    """The live view if standard error is a terminal, log lines if not."""
    return RichProgress(listener) if sys.stderr.isatty() else Progress(listener)


class _LoggedTask:
    def __init__(
        self, name: str, total: float | None, unit: str, listener: Listener | None, *, level: int = logging.INFO
    ):
        self._name, self._total, self._unit, self._listener, self._level = name, total, unit, listener, level
        self._done = 0.0
        self._numbers: dict[str, float] = {}
        self._began = self._reported = time.monotonic()

    def advance(self, count: float = 1, **numbers: float) -> None:
        self._done += count
        self._numbers |= numbers
        if time.monotonic() - self._reported >= LOG_INTERVAL_S:
            self.report()

    def set_total(self, total: float) -> None:
        self._total = total

    def report(self, *, final: bool = False) -> None:
        self._reported = time.monotonic()
        elapsed = self._reported - self._began
        rate = self._done / elapsed if elapsed > 0 else 0.0
        digits = 1 if self._total and self._total < 100 and self._total % 1 else 0
        amount = f"{self._done:,.{digits}f}" + (f" of {self._total:,.{digits}f}" if self._total else "")
        line = f"{self._name}: {amount} {self._unit}".rstrip() + f", {rate:,.0f}/s"
        if final:
            line += f", {elapsed:.1f} s"
        elif self._total and rate > 0:
            line += f", {max(self._total - self._done, 0) / rate:,.0f} s left"
        logger.log(self._level, line + _numbers_text(self._numbers, ", "))
        if self._listener:
            self._listener(self._name, {"done": self._done, "total": self._total or self._done, **self._numbers})


class _BarTask:
    def __init__(self, bars: Any, bar: Any, name: str, unit: str, listener: Listener | None):
        self._bars, self._bar, self._name, self._unit, self._listener = bars, bar, name, unit, listener
        self._numbers: dict[str, float] = {}
        self._heard = time.monotonic()

    def advance(self, count: float = 1, **numbers: float) -> None:
        self._numbers |= numbers
        self._bars.update(self._bar, advance=count, numbers=_numbers_text(self._numbers))
        task = self._bars.tasks[self._bar]
        if task.speed:
            self._bars.update(self._bar, rate=f"{task.speed:,.0f}/s")
        if self._listener and time.monotonic() - self._heard >= LOG_INTERVAL_S:
            self._heard = time.monotonic()
            self._listener(self._name, {"done": task.completed, "total": task.total or 0.0, **self._numbers})

    def set_total(self, total: float) -> None:
        self._bars.update(self._bar, total=total)


def _numbers_text(numbers: dict[str, float], start: str = "") -> str:
    text = "  ".join(f"{name} {value:,.4g}" if value % 1 else f"{name} {value:,.0f}" for name, value in numbers.items())
    return start + text if text else ""

"""Messages of a process that shares a run to the one that started it: progress, log records, and how it ended."""

import contextlib
import logging
import logging.handlers
import pickle
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from beatsight_core.errors import TrainingError
from beatsight_core.progress import Breakdown, Progress, Task

logger = logging.getLogger("beatsight")


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A log record.

    Attributes:
        record: Record that was made fit to travel.
    """

    record: logging.LogRecord


@dataclass(frozen=True, slots=True)
class TaskOpened:
    """The beginning of a task in the progress view.

    Attributes:
        name: Name of the task.
        total: Amount of work; None where unknown.
        unit: Unit of the amount.
    """

    name: str
    total: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class TaskAdvanced:
    """Work that was done or skipped, or a new total.

    Attributes:
        name: Name of the task.
        method: Method of the task to call: "advance", "skip" or "set_total".
        amount: Amount of work.
        numbers: Further figures to show.
    """

    name: str
    method: str
    amount: float
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskBrokenDown:
    """Figures of the parts of a task.

    Attributes:
        name: Name of the task.
        parts: Figures of each part.
    """

    name: str
    parts: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class TaskClosed:
    """The end of a task.

    Attributes:
        name: Name of the task.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a process.

    Attributes:
        result: Result of its work.
        error: Error that it ended with; None without one.
    """

    result: Any = None
    error: BaseException | None = None


Message: TypeAlias = LogMessage | TaskOpened | TaskAdvanced | TaskBrokenDown | TaskClosed | Ended


class Sender:
    """The sending end of the connection.

    Args:
        connection: Connection to the process that started this one.
    """

    def __init__(self, connection: Connection):
        self._connection, self._lock = connection, threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message."""
        with self._lock, contextlib.suppress(BrokenPipeError):  # nobody listens any more, and ends this process soon
            self._connection.send_bytes(pickle.dumps(message))  # torch would have its own way with tensors

    def ended(self, result: Any, error: BaseException | None) -> None:
        """Send how the process ended; an error that cannot travel becomes one with the same text."""
        if error is not None and not isinstance(_copy(error), type(error)):
            said = "".join(traceback.format_exception(error)).strip()
            error = TrainingError("A training process failed", why=said)
        self.send(Ended(result, error))


class LogSender(logging.handlers.QueueHandler):
    """A log handler that sends records.

    Args:
        sender: Sending end of the connection.
    """

    def __init__(self, sender: Sender):
        super().__init__(None)  # type: ignore[arg-type]
        self._sender = sender

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record that `prepare` has made fit to travel."""
        self._sender.send(LogMessage(record))


class SentProgress(Progress):
    """Progress that is shown by the process at the other end.

    Args:
        sender: Sending end of the connection.
    """

    def __init__(self, sender: Sender):
        super().__init__()
        self._sender = sender

    @contextlib.contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        """Open a task at the other end."""
        self._sender.send(TaskOpened(name, total, unit))
        try:
            yield _SentTask(self._sender, name)
        finally:
            self._sender.send(TaskClosed(name))


class _SentTask:
    def __init__(self, sender: Sender, name: str):
        self._sender, self._name = sender, name

    def advance(self, count: float = 1, **numbers: float) -> None:
        self._sender.send(TaskAdvanced(self._name, "advance", count, numbers))

    def skip(self, count: float) -> None:
        self._sender.send(TaskAdvanced(self._name, "skip", count))

    def set_total(self, total: float) -> None:
        self._sender.send(TaskAdvanced(self._name, "set_total", total))

    def breakdown(self, parts: Breakdown) -> None:
        self._sender.send(TaskBrokenDown(self._name, {part: dict(numbers) for part, numbers in parts.items()}))


class Receiver:
    """The receiving end: shows what other processes send. A context manager: tasks end with its block.

    Args:
        progress: Progress view that shows their tasks.
    """

    def __init__(self, progress: Progress):
        self._progress = progress
        self._tasks: dict[str, tuple[contextlib.ExitStack, Task]] = {}

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._tasks):
            self._close(name)

    def show(self, message: Message) -> None:
        """Show one message."""
        if isinstance(message, LogMessage):
            logger.handle(message.record)
        elif isinstance(message, TaskOpened):
            stack = contextlib.ExitStack()
            task = stack.enter_context(self._progress.task(message.name, message.total, message.unit))
            self._tasks[message.name] = (stack, task)
        elif isinstance(message, TaskAdvanced):
            getattr(self._tasks[message.name][1], message.method)(message.amount, **message.numbers)
        elif isinstance(message, TaskBrokenDown):
            self._tasks[message.name][1].breakdown(message.parts)
        elif isinstance(message, TaskClosed):
            self._close(message.name)

    def _close(self, name: str) -> None:
        stack, _ = self._tasks.pop(name)
        stack.close()


def _copy(error: BaseException) -> Any:
    """Return what arrives of an error; None if nothing does."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - an error's class may do anything when it is taken apart and put together
        return None

"""What a process that shares a run tells the one that started it: progress, log records, and how it ended."""

import contextlib
import logging
import logging.handlers
import pickle
import threading
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from beatsight_core.errors import TrainingError
from beatsight_core.progress import Breakdown, Progress, Task

logger = logging.getLogger("beatsight")

ENDED = "ended"


class Sender:
    """The end of the process that tells.

    Args:
        connection: To the one that started it.
    """

    def __init__(self, connection: Connection):
        self._connection, self._lock = connection, threading.Lock()

    def send(self, *message: Any) -> None:
        """Tell something; its first word says what."""
        with self._lock, contextlib.suppress(BrokenPipeError):  # nobody listens any more, and ends this process soon
            self._connection.send_bytes(pickle.dumps(message))  # torch would have its own way with tensors

    def ended(self, result: Any, error: BaseException | None) -> None:
        """Tell how the process ended; an error that cannot travel becomes one that says what it said."""
        if error is not None and not isinstance(_copy(error), type(error)):
            said = "".join(traceback.format_exception(error)).strip()
            error = TrainingError("A training process failed", why=said)
        self.send(ENDED, result, error)


class LogSender(logging.handlers.QueueHandler):
    """Sends log records.

    Args:
        sender: Where to.
    """

    def __init__(self, sender: Sender):
        super().__init__(None)  # type: ignore[arg-type]
        self._sender = sender

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record that `prepare` has made fit to travel."""
        self._sender.send("log", record)


class SentProgress(Progress):
    """Progress that is shown by the process at the other end.

    Args:
        sender: Where to.
    """

    def __init__(self, sender: Sender):
        super().__init__()
        self._sender = sender

    @contextlib.contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
        """Open a task there."""
        self._sender.send("open", name, total, unit)
        try:
            yield _SentTask(self._sender, name)
        finally:
            self._sender.send("close", name)


class _SentTask:
    def __init__(self, sender: Sender, name: str):
        self._sender, self._name = sender, name

    def advance(self, count: float = 1, **numbers: float) -> None:
        self._sender.send("advance", self._name, count, numbers)

    def skip(self, count: float) -> None:
        self._sender.send("skip", self._name, count)

    def set_total(self, total: float) -> None:
        self._sender.send("set_total", self._name, total)

    def breakdown(self, parts: Breakdown) -> None:
        self._sender.send("breakdown", self._name, {part: dict(numbers) for part, numbers in parts.items()})


class Receiver:
    """Shows here what other processes send. A context manager: tasks end with its block.

    Args:
        progress: Shows their tasks.
    """

    def __init__(self, progress: Progress):
        self._progress = progress
        self._tasks: dict[str, tuple[contextlib.ExitStack, Task]] = {}

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._tasks):
            self._close(name)

    def take(self, kind: str, *said: Any) -> None:
        """Show one message."""
        if kind == "log":
            logger.handle(said[0])
        elif kind == "open":
            stack = contextlib.ExitStack()
            self._tasks[said[0]] = (stack, stack.enter_context(self._progress.task(*said)))
        elif kind == "close":
            self._close(said[0])
        else:
            name, value, *more = said
            getattr(self._tasks[name][1], kind)(value, **(more[0] if more else {}))

    def _close(self, name: str) -> None:
        stack, _ = self._tasks.pop(name)
        stack.close()


def _copy(error: BaseException) -> Any:
    """What arrives of an error; None if nothing does."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - an error's class may do anything when it is taken apart and put together
        return None

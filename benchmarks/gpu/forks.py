"""Functions in processes of their own, forked from a stage that has not touched CUDA: one may be killed, or wait."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

KILLED = -signal.SIGKILL


class Fork:
    """A function under way in a process of its own. A context manager: the process has ended after the block.

    Args:
        function: Called in the other process with `arguments` and the keyword argument `tell`, a function that sends a
            message to this process. What it returns is its last message.
        arguments: Arguments of the function.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        start = multiprocessing.get_context("fork")
        self._messages, theirs = start.Pipe(duplex=False)
        self._process = start.Process(target=_call, args=(theirs, function, arguments))
        self._process.start()
        theirs.close()

    def __enter__(self) -> "Fork":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.join()

    def receive(self, timeout_s: float) -> Any:
        """Return the next message that the function sent.

        Raises:
            TimeoutError: There was none in time.
            ModuleNotFoundError: A package is missing there.
            RuntimeError: The function failed otherwise; its traceback is in the message.
            EOFError: The process has ended.
        """
        if not self._messages.poll(timeout_s):
            raise TimeoutError(f"nothing was heard within {timeout_s:.0f} s")
        kind, value = self._messages.recv()
        if kind == "missing":
            raise ModuleNotFoundError(f"No module named {value!r}", name=value)
        if kind == "error":
            raise RuntimeError(value)
        return value

    def end(self, timeout_s: float) -> int:
        """Wait for the end of the process; its exit code, negative after a signal.

        Raises:
            TimeoutError: It does not end.
        """
        self._process.join(timeout_s)
        if self._process.exitcode is None:
            raise TimeoutError(f"the process did not end within {timeout_s:.0f} s")
        return int(self._process.exitcode)

    def kill(self) -> None:
        """End the process without a warning."""
        self._process.kill()


def _call(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    def tell(value: Any) -> None:
        connection.send(("message", value))

    try:
        tell(function(*arguments, tell=tell))
    except ModuleNotFoundError as error:
        connection.send(("missing", error.name))
        os._exit(1)
    except BaseException:  # noqa: BLE001 - it is reported to the process that waits for it
        connection.send(("error", traceback.format_exc()[-1500:]))
        os._exit(1)
    os._exit(0)  # nothing that was inherited is tidied up here

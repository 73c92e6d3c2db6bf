"""Ctrl-C and SIGTERM as a request: what is under way ends at its next step, and a second Ctrl-C ends it at once."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """A request to stop; true once somebody has made it."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def name(self) -> str:
        """The name of the signal, such as SIGINT; empty if none came."""
        return self.signal.name if self.signal is not None else ""

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: remember the first one, raise on a second Ctrl-C."""
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request while the block runs. In another thread than the main: no effect."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

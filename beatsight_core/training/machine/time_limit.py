"""The time limit of an attempt: it ends early enough to write its last checkpoint.

What comes next is foreseen from the longest that it took so far, times `MARGIN`: a step, a checkpoint, judging clips.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from beatsight_core.errors import TimeLimitError
from beatsight_core.files import exclusive_lock

MARGIN = 2.0


class TimeLimit:
    """A limit of time, and what still fits into it.

    Args:
        seconds: Seconds from now on; None for no limit.
        reserve_s: Seconds of these for what comes after the last checkpoint.
        again: Words of an error that tell how to go on with the run.
    """

    def __init__(self, seconds: float | None = None, reserve_s: float = 1.0, again: str = "run the same command again"):
        self.seconds, self._reserve_s, self._again = seconds, reserve_s, again
        self._began = time.monotonic()
        self._longest: dict[str, float] = {}

    def __bool__(self) -> bool:
        return self.seconds is not None

    @property
    def left(self) -> float:
        """The number of seconds left; infinite without a limit."""
        return float("inf") if self.seconds is None else self.seconds - (time.monotonic() - self._began)

    def took(self, what: str, seconds: float, units: float = 1.0) -> None:
        """Learn how long something takes a unit; the longest counts."""
        self._longest[what] = max(self._longest.get(what, 0.0), seconds / max(units, 1e-9))

    @contextlib.contextmanager
    def timing(self, what: str, units: float = 1.0) -> Iterator[None]:
        """Learn it from the block."""
        began = time.monotonic()
        yield
        self.took(what, time.monotonic() - began, units)

    def knows(self, what: str) -> bool:
        """Return whether it has learned how long something takes."""
        return what in self._longest

    def fits(self, **units: float) -> bool:
        """Return whether so many units of each still fit, with a margin; what was never seen counts as nothing."""
        need = sum(number * self._longest.get(what, 0.0) for what, number in units.items())
        return self.left > MARGIN * need + self._reserve_s

    def require(self, otherwise: str, **units: float) -> None:
        """Go on only if so many units of each still fit.

        Raises:
            TimeLimitError: The time that is left does not suffice.
        """
        if not self.fits(**units):
            raise self.reached(otherwise)

    @contextlib.contextmanager
    def waiting_for(self, run: str, lock: Path) -> Iterator[None]:
        """Have a run to oneself for the block, after a wait for who has it.

        Raises:
            TimeLimitError: Nobody let go of it in time.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(exclusive_lock(lock, f"run {run}", self.left))
            except TimeoutError as error:
                raise self.reached(f"another process has run {run}") from error
            yield

    def reached(self, why: str) -> TimeLimitError:
        """Return the error for an attempt that ends here."""
        return TimeLimitError(
            "The time limit is near, and the run is not finished",
            why=why,
            do=f"{self._again}: it goes on from there",
        )

    def too_short(self) -> TimeLimitError:
        """Return the error for a limit that was over before anything was done."""
        took = time.monotonic() - self._began
        return TimeLimitError(
            "The time limit was over before a step could be taken",
            why=f"getting ready took {took:.0f} s, and {self._reserve_s:.0f} s are kept for the end",
            do=f"give it well over {took + self._reserve_s:.0f} s; with the same limit the same may happen again",
        )

"""When a sitting must end so that its last checkpoint is written before somebody else's clock runs out.

What comes next is foreseen from the longest that it took so far, times `MARGIN`: a step, a checkpoint, judging clips.
"""

import contextlib
import time
from collections.abc import Iterator

from beatsight_core.errors import TimeLimitError

MARGIN = 2.0


class TimeLimit:
    """How much time is left, and what still fits into it.

    Args:
        seconds: From now on; None for no limit.
        reserve_s: Of these, for what comes after the last checkpoint.
    """

    def __init__(self, seconds: float | None = None, reserve_s: float = 1.0):
        self.seconds, self._reserve_s = seconds, reserve_s
        self._began = time.monotonic()
        self._longest: dict[str, float] = {}

    def __bool__(self) -> bool:
        return self.seconds is not None

    @property
    def left(self) -> float:
        """Seconds left; infinite without a limit."""
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
        """Whether it ever learned how long that takes."""
        return what in self._longest

    def fits(self, **units: float) -> bool:
        """Whether so many units of each still fit, with a margin; what was never seen counts as nothing."""
        need = sum(number * self._longest.get(what, 0.0) for what, number in units.items())
        return self.left > MARGIN * need + self._reserve_s

    def require(self, otherwise: str, **units: float) -> None:
        """Go on only if so many units of each still fit.

        Raises:
            TimeLimitError: They do not.
        """
        if not self.fits(**units):
            raise self.reached(otherwise)

    def reached(self, why: str) -> TimeLimitError:
        """What to raise when the sitting ends here."""
        return TimeLimitError(
            "The time limit is near, and the run is not finished",
            why=why,
            do="run the same command again: it goes on from there",
        )

"""Work that may take long, done in threads: a look waits a little for it, and asks again at the next look.

Dagster ends a look of a sensor after 60 s and throws its cursor away. A manifest of 5 GB on a slow drive takes longer
to digest, and a drive that does not answer takes for ever; neither may hold up the other manifests. What was begun goes
on between the looks. After a restart it begins anew.
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MOST_THREADS = 4
"""Pieces of work under way at once; more on one drive would only slow each other down."""

T = TypeVar("T")


@dataclass(slots=True)
class _Piece(Generic[T]):
    """A piece of work under way, or done and not asked about yet."""

    done: threading.Event = field(default_factory=threading.Event)
    answer: T | None = None
    failure: BaseException | None = None

    def carry_out(self, work: Callable[[], T]) -> None:
        """Do it, and keep what came of it."""
        try:
            self.answer = work()
        except BaseException as error:  # noqa: BLE001 - raised again where the work is asked for
            self.failure = error
        finally:
            self.done.set()


class NotYetError(Exception):
    """The work is under way, or waits for its turn."""


class SlowWork(Generic[T]):
    """Work by name; the same name asks for the same piece until its answer was given."""

    def __init__(self, most: int = MOST_THREADS):
        self._most = most
        self._pieces: dict[Hashable, _Piece[T]] = {}
        self._lock = threading.Lock()

    def answer(self, name: Hashable, work: Callable[[], T], wait_s: float) -> T:
        """Return the answer of a piece of work, which is begun if it is not under way.

        Args:
            name: Name of the work. Only who begins it waits for it; who asks again is answered at once.
            work: Does it, in a thread that ends with the process at the latest.
            wait_s: Seconds to wait at most.

        Raises:
            NotYetError: The work is not done yet.
            Exception: Whatever the work raised.
        """
        piece, begun = self._piece(name, work)
        if piece is None or not piece.done.wait(max(wait_s, 0.0) if begun else 0.0):
            raise NotYetError
        with self._lock:
            self._pieces.pop(name, None)
        if piece.failure is not None:
            raise piece.failure
        return piece.answer  # type: ignore[return-value]  # it is done, and did not fail

    def is_under_way(self, name: Hashable) -> bool:
        """Return whether a piece of work was begun in this process and not answered."""
        with self._lock:
            return name in self._pieces

    def forget_others(self, names: set[Hashable]) -> None:
        """Drop answers that nobody will ask for any more, as their files changed or went."""
        with self._lock:
            self._pieces = {
                name: piece for name, piece in self._pieces.items() if name in names or not piece.done.is_set()
            }

    def _piece(self, name: Hashable, work: Callable[[], T]) -> tuple[_Piece[T] | None, bool]:
        """The piece of that name and whether it was begun now; none if too many others are under way."""
        with self._lock:
            if name in self._pieces:
                return self._pieces[name], False
            if sum(not piece.done.is_set() for piece in self._pieces.values()) >= self._most:
                return None, False
            piece = self._pieces[name] = _Piece[T]()
        threading.Thread(target=piece.carry_out, args=(work,), name="slow work", daemon=True).start()
        return piece, True

"""What is known of a receiver between two deliveries: whom it was told of, what failed, when to try again.

One file for each receiver, `alerts/receivers/<name>.json`, written after every delivery. Who delivers to a receiver
holds the lock beside it, so nobody is told twice by two processes, and no receiver waits for another.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from beatsight_core.alerts.alert import StoredAlert
from beatsight_core.errors import BeatSightError
from beatsight_core.files import exclusive_lock, read_json, write_json
from beatsight_core.names import file_name
from beatsight_core.settings import AlertReceiver, Settings
from beatsight_core.typed_json import from_json

PAUSES_S = (60.0, 120.0, 240.0, 480.0, 900.0)
"""Pauses after failed deliveries, the last one again and again; a new alert never waits longer than that."""

GIVEN_UP_S = 86400.0
"""Time from the first failed delivery of an alert until it is given up."""

logger = logging.getLogger("beatsight")


@dataclass(frozen=True, slots=True)
class Tries:
    """Failed deliveries of an alert: how many, and when the first one was, in seconds since 1970."""

    count: int
    first: float


@dataclass(slots=True)
class Ledger:
    """What is known of a receiver.

    Attributes:
        outcomes: Id of an alert of the outbox -> what became of it, of those that this receiver is done with.
        told: Kind and subject -> time of the last notice.
        tries: Id of an alert -> failed deliveries.
        failures: Failed deliveries since the last one that went.
        next_try: Time before which nothing is sent.
        problem: Reason why the last delivery failed; None if it went.
    """

    outcomes: dict[str, str] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    tries: dict[str, Tries] = field(default_factory=dict)
    failures: int = 0
    next_try: float = 0.0
    problem: str | None = None

    def pauses(self, now: float) -> bool:
        """Return whether nothing is to be sent yet. A pause that a wrong clock made longer than any does not count."""
        return now < self.next_try <= now + PAUSES_S[-1]

    def is_gathering(self, group: str, gather_s: float, now: float) -> bool:
        """Return whether alerts of a kind and subject wait for others, as somebody was told of them a moment ago."""
        last = self.told.get(group)
        return last is not None and last <= now < last + gather_s

    def tries_of(self, stored: StoredAlert) -> int:
        """Return how many deliveries of an alert failed."""
        return self.tries[stored.id].count if stored.id in self.tries else 0

    def went(self, gathered: Sequence[StoredAlert], said: str, now: float) -> None:
        """Note that a notice went."""
        self._close(gathered, said)
        self.told.update({each.alert.group: now for each in gathered})
        self.failures, self.next_try, self.problem = 0, 0.0, None

    def failed(self, gathered: Sequence[StoredAlert], why: str, now: float) -> list[StoredAlert]:
        """Note that a notice did not go; return the alerts that are given up by that."""
        for each in gathered:
            before = self.tries.get(each.id, Tries(0, now))
            self.tries[each.id] = Tries(before.count + 1, before.first)
        self.next_try = now + PAUSES_S[min(self.failures, len(PAUSES_S) - 1)]
        self.failures, self.problem = self.failures + 1, why
        lost = [each for each in gathered if now - self.tries[each.id].first >= GIVEN_UP_S]
        self._close(lost, f"given up: {why}")
        return lost

    def forget(self, waiting: Sequence[StoredAlert], gather_s: float, now: float) -> None:
        """Drop what no alert of the outbox and no gathering needs any more."""
        ids = {each.id for each in waiting}
        self.outcomes = {name: said for name, said in self.outcomes.items() if name in ids}
        self.tries = {name: tries for name, tries in self.tries.items() if name in ids}
        self.told = {group: at for group, at in self.told.items() if at <= now < at + gather_s}

    def _close(self, alerts: Sequence[StoredAlert], said: str) -> None:
        self.outcomes.update({each.id: said for each in alerts})
        for each in alerts:
            self.tries.pop(each.id, None)


def ledger_path(settings: Settings, receiver: AlertReceiver) -> Path:
    """Return the file of a receiver."""
    return settings.alerts_dir / "receivers" / f"{file_name(receiver.name)}.json"


def read_ledger(settings: Settings, receiver: AlertReceiver) -> Ledger:
    """Return what is known of a receiver; nothing is known of a new one, or where the file is damaged."""
    path = ledger_path(settings, receiver)
    try:
        return from_json(Ledger, read_json(path), path)
    except BeatSightError as error:
        if path.exists():
            logger.warning("what the receiver %s was told is not known any more: %s", receiver.name, error)
        return Ledger()


def write_ledger(settings: Settings, receiver: AlertReceiver, ledger: Ledger) -> None:
    """Replace what is known of a receiver."""
    write_json(ledger_path(settings, receiver), ledger)


@contextlib.contextmanager
def held(settings: Settings, receiver: AlertReceiver) -> Iterator[bool]:
    """Hold a receiver while the block runs, without waiting; gives whether nobody else delivers to it."""
    with contextlib.ExitStack() as stack:
        try:
            lock = ledger_path(settings, receiver).with_suffix(".lock")
            stack.enter_context(exclusive_lock(lock, timeout_s=0.0))
            mine = True
        except TimeoutError:
            mine = False
        yield mine

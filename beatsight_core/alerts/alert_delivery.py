"""Delivery: every receiver is told of what waits for it, each for itself, so that a dead one holds up no other.

The first alert of a kind and subject is told at once; those that repeat it within `gather_minutes` are told together.
A delivery that failed is tried again after growing pauses. After a day an alert is given up, with a line in the log.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from beatsight_core.alerts.alert import Alert, AlertNotice, StoredAlert
from beatsight_core.alerts.ledger import Ledger, held, read_ledger, write_ledger
from beatsight_core.alerts.outbox import anything_waits, finish, tidy_up, waiting_alerts, wants
from beatsight_core.alerts.receiver_secrets import shown_place
from beatsight_core.alerts.sending import send
from beatsight_core.errors import BeatSightError, UsageError
from beatsight_core.settings import AlertReceiver, Settings

ROUND_S = 60.0
"""Time after which a receiver is sent no more in this round."""

MOST = 5
"""Subjects of one kind that are told one by one; more at once are told in one notice."""

_DELIVERED = "delivered"
_NOT_WANTED = "not wanted"

logger = logging.getLogger("beatsight")


@dataclass(frozen=True, slots=True)
class ReceiverDelivery:
    """What a round of deliveries brought to a receiver.

    Attributes:
        name: Name of the receiver.
        sent: Notices that went.
        problem: Reason why the last one did not go, or why nothing was sent; None if all is told.
    """

    name: str
    sent: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class TriedReceiver:
    """The answer of a receiver to a test alert.

    Attributes:
        name: Name of the receiver.
        kind: Kind of the receiver.
        place: Place of the receiver, without secrets.
        sent: Flag of an alert that went.
        problem: Reason why it did not go.
    """

    name: str
    kind: str
    place: str
    sent: bool
    problem: str | None


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The result of `beatsight alerts deliver`.

    Attributes:
        receivers: Result of the round for each receiver.
    """

    receivers: tuple[ReceiverDelivery, ...]


@dataclass(frozen=True, slots=True)
class TriedReceivers:
    """The result of `beatsight alerts test`.

    Attributes:
        receivers: Answer of each receiver.
    """

    receivers: tuple[TriedReceiver, ...]


def deliver(settings: Settings, now: float | None = None) -> list[ReceiverDelivery]:
    """Tell every receiver of what waits for it, side by side; return what came of it.

    Args:
        settings: Settings that name the receivers.
        now: Time in seconds since 1970; default: the present one.
    """
    receivers = settings.alerts.receivers
    if not receivers or not anything_waits(settings):
        return [ReceiverDelivery(receiver.name) for receiver in receivers]
    with ThreadPoolExecutor(len(receivers)) as threads:
        return list(threads.map(lambda receiver: deliver_to(settings, receiver, now), receivers))


def deliver_to(settings: Settings, receiver: AlertReceiver, now: float | None = None) -> ReceiverDelivery:
    """Tell a receiver of what waits for it, unless another process is at it. Raises no error.

    Args:
        settings: Settings that name the receivers.
        receiver: Receiver to tell.
        now: Time in seconds since 1970; default: the present one.
    """
    now = time.time() if now is None else now
    try:
        with held(settings, receiver) as mine:
            if not mine:
                return ReceiverDelivery(receiver.name, problem="another process is delivering")
            result = _round(settings, receiver, now)
        _finish_all(settings)
        return result
    except (BeatSightError, OSError) as error:  # a drive that is full or gone: all stays as it was
        return ReceiverDelivery(receiver.name, problem=str(error))


def try_receivers(settings: Settings, name: str | None = None) -> list[TriedReceiver]:
    """Send a test alert to every receiver now, beside the outbox; return what came of it.

    Args:
        settings: Settings that name the receivers.
        name: Name of the only receiver to try.

    Raises:
        UsageError: There is no receiver, or none of that name.
    """
    every = settings.alerts.receivers
    receivers = [receiver for receiver in every if name in (None, receiver.name)]
    if not receivers:
        what = f"There is no receiver {name!r}" if every else "There is no receiver of alerts"
        do = f"name one of {', '.join(each.name for each in every)}" if every else "write [[alerts.receivers]] there"
        raise UsageError(what, where=settings.file or settings.data_root, do=do)
    alert = Alert("test", "beatsight alerts test", "This is a test. Nothing has happened", "Nothing", time.time())
    notice = AlertNotice.of([StoredAlert("test", time.time(), alert)], str(settings.data_root))
    with ThreadPoolExecutor(len(receivers)) as threads:
        problems = list(threads.map(lambda receiver: send(settings, receiver, notice), receivers))
    return [
        TriedReceiver(receiver.name, receiver.kind, shown_place(receiver), problem is None, problem)
        for receiver, problem in zip(receivers, problems, strict=True)
    ]


def _round(settings: Settings, receiver: AlertReceiver, now: float) -> ReceiverDelivery:
    """One round of deliveries to a receiver that nobody else delivers to."""
    waiting, ledger = waiting_alerts(settings), read_ledger(settings, receiver)
    gather_s, until, sent = receiver.gather_minutes * 60, time.monotonic() + ROUND_S, 0
    ledger.forget(waiting, gather_s, now)
    mine = [each for each in waiting if wants(receiver, each.alert) and each.id not in ledger.outcomes]
    due = [] if ledger.pauses(now) else _due(mine, ledger, gather_s, now)
    if due:
        write_ledger(settings, receiver, ledger)  # where that cannot be noted, all would be sent again and again
    for gathered in due:
        problem = send(settings, receiver, AlertNotice.of(gathered, str(settings.data_root)))
        if problem is None:
            ledger.went(gathered, _DELIVERED, now)
            sent += 1
        else:
            for lost in ledger.failed(gathered, problem, now):
                logger.warning("%s is not told of an alert (%s): %s", receiver.name, lost.alert.group, problem)
        write_ledger(settings, receiver, ledger)
        if problem is not None or time.monotonic() > until:
            break
    return ReceiverDelivery(receiver.name, sent, ledger.problem)


def _due(mine: Sequence[StoredAlert], ledger: Ledger, gather_s: float, now: float) -> list[list[StoredAlert]]:
    """The alerts to tell now, by kind and subject; those that failed least often come first, so none blocks others."""
    groups: dict[str, list[StoredAlert]] = defaultdict(list)
    for each in mine:
        groups[each.alert.group].append(each)
    kinds: dict[str, list[list[StoredAlert]]] = defaultdict(list)
    for name, group in groups.items():
        if not ledger.is_gathering(name, gather_s, now):
            kinds[group[0].alert.kind].append(group)
    due = [group for several in kinds.values() for group in (several if len(several) <= MOST else [_joined(several)])]
    return sorted(due, key=lambda group: (max(ledger.tries_of(each) for each in group), group[-1].id))


def _joined(groups: Sequence[Sequence[StoredAlert]]) -> list[StoredAlert]:
    return sorted((each for group in groups for each in group), key=lambda each: each.id)


def _finish_all(settings: Settings) -> None:
    """Take out of the outbox what every receiver is done with."""
    receivers = settings.alerts.receivers
    ledgers = {receiver.name: read_ledger(settings, receiver) for receiver in receivers}
    for stored in waiting_alerts(settings):
        outcomes = {
            receiver.name: ledgers[receiver.name].outcomes.get(stored.id)
            if wants(receiver, stored.alert)
            else _NOT_WANTED
            for receiver in receivers
        }
        known = {name: said for name, said in outcomes.items() if said is not None}
        if len(known) == len(receivers):
            finish(settings, stored, known)
    tidy_up(settings)

"""What waits in the outbox and for whom, and what became of the newest alerts, as `beatsight alerts list` shows it."""

from collections.abc import Mapping
from dataclasses import dataclass

from beatsight_core.alerts.ledger import read_ledger
from beatsight_core.alerts.outbox import done_alerts, waiting_alerts, wants
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class WaitingAlert:
    """An alert that waits.

    Attributes:
        id: Id of the alert.
        raised: Time at which it was raised, in seconds since 1970.
        group: Kind and subject.
        what: Sentences that say what happened.
        receivers: Names of those that are not told yet.
    """

    id: str
    raised: float
    group: str
    what: str
    receivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PastAlert:
    """An alert that waits no more.

    Attributes:
        id: Id of the alert.
        raised: Time at which it was raised, in seconds since 1970.
        group: Kind and subject.
        what: Sentences that say what happened.
        outcomes: Name of each receiver -> what became of it.
    """

    id: str
    raised: float
    group: str
    what: str
    outcomes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertList:
    """The alerts that wait, and the newest past ones.

    Attributes:
        waiting: Alerts that wait, the oldest first.
        problems: Name of each receiver whose last delivery failed -> why.
        done: Alerts that wait no more, the newest first.
    """

    waiting: tuple[WaitingAlert, ...]
    problems: Mapping[str, str]
    done: tuple[PastAlert, ...]


def list_alerts(settings: Settings, most: int) -> AlertList:
    """Return what waits and what is past. Changes nothing.

    Args:
        settings: Settings that name the receivers.
        most: Most past alerts to list.
    """
    ledgers = {receiver.name: read_ledger(settings, receiver) for receiver in settings.alerts.receivers}
    waiting = []
    for stored in waiting_alerts(settings):
        names = tuple(
            receiver.name
            for receiver in settings.alerts.receivers
            if wants(receiver, stored.alert) and stored.id not in ledgers[receiver.name].outcomes
        )
        waiting.append(WaitingAlert(stored.id, stored.raised, stored.alert.group, stored.alert.what, names))
    done = [
        PastAlert(each.stored.id, each.stored.raised, each.stored.alert.group, each.stored.alert.what, each.outcomes)
        for each in done_alerts(settings, most)
    ]
    problems = {name: ledger.problem for name, ledger in ledgers.items() if ledger.problem}
    return AlertList(tuple(waiting), problems, tuple(done))

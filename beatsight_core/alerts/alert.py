"""An alert, and the notice that a receiver gets of it: what happened, since when, what to do, where to read."""

import datetime
import platform
from dataclasses import dataclass

from beatsight_core.safe_text import paragraph_for_terminal
from beatsight_core.settings import AlertKind
from beatsight_core.typed_json import JsonObject, to_json

LONGEST = 2000
"""Characters of a text of an alert."""

_NAMED = 3
"""Subjects that a notice of many names."""

_TITLES: dict[AlertKind, str] = {
    "run_failed": "Run failed",
    "gate_failed": "Gate failed",
    "root_gone": "Root gone",
    "root_back": "Root back",
    "disk_low": "Disk below its limit",
    "disk_free": "Disk above its limit again",
    "step_stuck": "Step without progress",
    "promoted": "Promoted",
    "rolled_back": "Rolled back",
    "test": "Test",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that somebody should know.

    Attributes:
        kind: Kind of what happened.
        subject: Name of what it happened to; alerts of one kind and subject are gathered.
        what: Sentences that say what happened.
        do: Sentence that says what to do.
        since: Time from which on it is so, in seconds since 1970.
        link: Address or path of the report; None where there is none.
    """

    kind: AlertKind
    subject: str
    what: str
    do: str
    since: float
    link: str | None = None

    def cleaned(self) -> "Alert":
        """Return the alert with texts that every receiver can show: one paragraph each, no controls, not too long."""
        subject, what, do = (_paragraph(text) for text in (self.subject, self.what, self.do))
        return Alert(self.kind, subject, what, do, self.since, _paragraph(self.link) if self.link else None)

    @property
    def group(self) -> str:
        """Name under which repeated alerts are gathered."""
        return f"{self.kind}: {self.subject}"


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert of the outbox.

    Attributes:
        id: Name of its file, which tells the order.
        raised: Time at which it was raised, in seconds since 1970.
        alert: Content of the alert.
    """

    id: str
    raised: float
    alert: Alert


@dataclass(frozen=True, slots=True)
class AlertNotice:
    """The message to a receiver: the newest alert of its kind and subject, and how many were gathered.

    Where many subjects have alerts of one kind at once, it names some and says what happened to as many as it holds.

    Attributes:
        id: Id of the newest alert.
        kind: Kind of what happened.
        title: Kind in words.
        subject: Name of what it happened to.
        what: Sentences that say what happened.
        do: Sentence that says what to do.
        since: Time from which on it is so, in ISO 8601, of the oldest alert.
        count: Number of alerts in this notice.
        link: Address or path of the report.
        host: Name of the machine.
        data_root: Folder that holds everything.
    """

    id: str
    kind: AlertKind
    title: str
    subject: str
    what: str
    do: str
    since: str
    count: int
    link: str | None
    host: str
    data_root: str

    @classmethod
    def of(cls, gathered: list[StoredAlert], data_root: str) -> "AlertNotice":
        """Return the notice of alerts of one kind, and of one subject or many.

        Args:
            gathered: Alerts, the oldest first.
            data_root: Folder that holds everything.
        """
        newest, last = gathered[-1].alert, {each.alert.subject: each.alert for each in gathered}
        subjects, more = list(last), len(last) - _NAMED
        since = datetime.datetime.fromtimestamp(min(each.alert.since for each in gathered), datetime.UTC)
        return cls(
            id=gathered[-1].id,
            kind=newest.kind,
            title=_TITLES[newest.kind],
            subject=", ".join(subjects[:_NAMED]) + (f" and {more} more" if more > 0 else ""),
            what=_paragraph(" ".join(map(_whole, last.values()))) if more > 0 else newest.what,
            do=newest.do,
            since=since.isoformat(timespec="seconds"),
            count=len(gathered),
            link=newest.link,
            host=platform.node(),
            data_root=data_root,
        )

    @property
    def headline(self) -> str:
        """The notice in a line, as the subject of a mail."""
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"BeatSight: {self.title}: {self.subject}{times}"

    @property
    def text(self) -> str:
        """The notice in lines, for people."""
        times = f", {self.count} times" if self.count > 1 else ""
        lines = [self.what, f"Since: {self.since}{times}", f"What to do: {self.do}"]
        lines += [f"Report: {self.link}"] if self.link else []
        return "\n".join([*lines, f"Data root: {self.data_root} on {self.host}"])

    def to_json(self) -> JsonObject:
        """Return the notice as JSON values."""
        return to_json(self)


def _whole(alert: Alert) -> str:
    return alert.what if alert.what.endswith((".", "…")) else f"{alert.what}."


def _paragraph(text: str) -> str:
    safe = paragraph_for_terminal(text)
    return safe if len(safe) <= LONGEST else f"{safe[:LONGEST]} …"

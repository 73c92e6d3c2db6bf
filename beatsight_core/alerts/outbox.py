"""The outbox: one small file for each alert, from when it is raised until every receiver was told or given up.

    alerts/outbox/<id>.json     alerts that wait
    alerts/receivers/<name>.json  what is known of each receiver (`ledger`)
    alerts/done/<id>.json       alerts with what became of them, the newest `KEPT`
    alerts/state.json           roots and drives as they were at the last look (`look_around`)
    alerts/alerts.jsonl         what a receiver of kind "log" was told

To raise an alert only writes a file there, which takes milliseconds. An alert is in the outbox before anybody is told
of it, and is taken out after its outcome was written: a process that is killed in between loses nothing, and may tell
once more.
"""

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from beatsight_core.alerts.alert import Alert, StoredAlert
from beatsight_core.errors import BeatSightError
from beatsight_core.files import read_json, write_json
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.settings import AlertReceiver, Settings
from beatsight_core.typed_json import from_json

KEPT = 500
"""Alerts whose outcome is kept."""

Read = TypeVar("Read")

logger = logging.getLogger("beatsight")


@dataclass(frozen=True, slots=True)
class DoneAlert:
    """An alert that waits no more.

    Attributes:
        stored: The alert.
        outcomes: Name of each receiver -> what became of it.
    """

    stored: StoredAlert
    outcomes: Mapping[str, str] = field(default_factory=dict)


def outbox_dir(settings: Settings) -> Path:
    """Return the folder of alerts that wait."""
    return settings.alerts_dir / "outbox"


def done_dir(settings: Settings) -> Path:
    """Return the folder of alerts that wait no more."""
    return settings.alerts_dir / "done"


def wants(receiver: AlertReceiver, alert: Alert) -> bool:
    """Return whether a receiver is to be told of an alert."""
    return not receiver.only or alert.kind in receiver.only or alert.kind == "test"


def raise_alert(settings: Settings, alert: Alert) -> None:
    """Put an alert into the outbox, if any receiver wants it. Takes milliseconds, and never raises an error.

    Args:
        settings: Settings that name the receivers.
        alert: Alert to keep until all of them were told.
    """
    if not any(wants(receiver, alert) for receiver in settings.alerts.receivers):
        return
    # The caller has just failed, or released a model: whatever is wrong here must not change what comes of that.
    try:
        stored = StoredAlert(f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}", time.time(), alert.cleaned())
        write_json(_file(settings, stored.id), stored)
    except Exception as error:  # noqa: BLE001
        logger.warning("an alert is lost (%s): %s", alert.group, error)


def waiting_alerts(settings: Settings) -> list[StoredAlert]:
    """List the alerts of the outbox, the oldest first; one that is damaged is left out."""
    paths = sorted(outbox_dir(settings).glob("[0-9]*.json"))
    return [stored for path in paths if (stored := _read(StoredAlert, path)) is not None]


def anything_waits(settings: Settings) -> bool:
    """Return whether the outbox holds anything."""
    return next(outbox_dir(settings).glob("[0-9]*.json"), None) is not None


def finish(settings: Settings, stored: StoredAlert, outcomes: Mapping[str, str]) -> None:
    """Write down what became of an alert, and take it out of the outbox."""
    write_json(done_dir(settings) / f"{stored.id}.json", DoneAlert(stored, dict(outcomes)))
    _file(settings, stored.id).unlink(missing_ok=True)


def tidy_up(settings: Settings) -> None:
    """Remove outcomes beyond the newest `KEPT`, and what killed writers left; put damaged alerts aside."""
    _put_aside_damaged(settings)
    for path in sorted(done_dir(settings).glob("[0-9]*.json"))[:-KEPT]:
        path.unlink(missing_ok=True)
    for folder in (outbox_dir(settings), done_dir(settings)):
        if folder.is_dir():
            remove_leftovers(folder)


def done_alerts(settings: Settings, most: int) -> list[DoneAlert]:
    """List the newest alerts that wait no more, the newest first."""
    paths = sorted(done_dir(settings).glob("[0-9]*.json"), reverse=True)[:most]
    return [done for path in paths if (done := _read(DoneAlert, path)) is not None]


def _file(settings: Settings, name: str) -> Path:
    return outbox_dir(settings) / f"{name}.json"


def _put_aside_damaged(settings: Settings) -> None:
    for path in outbox_dir(settings).glob("[0-9]*.json"):
        if _read(StoredAlert, path) is None and path.exists():
            logger.warning("an alert cannot be read, and is put aside: %s", path)
            path.rename(path.with_suffix(".broken"))


def _read(kind: type[Read], path: Path) -> Read | None:
    """What a file holds; None if it is gone, or damaged, so that it holds up no other."""
    try:
        return from_json(kind, read_json(path), path)
    except BeatSightError:
        return None

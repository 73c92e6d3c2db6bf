"""A look at roots and drives: what went away or came back since the last look, and whether a disk is nearly full.

Each change is told once; what was seen is kept in `alerts/state.json`. A root is told of only if it was there before:
one that nobody has ever seen is the doctor's to tell. A drive that does not answer holds up no look. It counts as gone
when it has not answered by the next one.
"""

import functools
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from beatsight_core.alerts.alert import Alert
from beatsight_core.alerts.outbox import raise_alert
from beatsight_core.audio.absence import is_there
from beatsight_core.errors import BeatSightError
from beatsight_core.files import exclusive_lock, read_json, write_json
from beatsight_core.manifest.catalog import sources_of_catalogs
from beatsight_core.settings import Settings
from beatsight_core.slow_work import NotYetError, SlowWork
from beatsight_core.typed_json import from_json

ENOUGH = 1.1
"""Share of the limit at which a disk is above it again, so that a file more or less is not told of each time."""

STATE = "state.json"

_LOOK_AT_ONE_S, _LOOK_S = 2.0, 6.0
_MOST_DRIVES = 64

_ROOTS = SlowWork[bool](_MOST_DRIVES)
_DRIVES: "SlowWork[Space]" = SlowWork(_MOST_DRIVES)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Space:
    """The drive that a folder lies on, and its free bytes; no drive if the folder is not there."""

    drive: int | None
    free: int


@dataclass(slots=True)
class Surroundings:
    """What the last look saw.

    Attributes:
        roots: Path of each root that was there once -> time since when it is gone; None if it is there.
        disks: Path of a folder on each drive -> time since when its free space is below the limit; None if it is not.
    """

    roots: dict[str, float | None] = field(default_factory=dict)
    disks: dict[str, float | None] = field(default_factory=dict)


def look_around(settings: Settings, now: float | None = None) -> list[Alert]:
    """Look at roots and drives, and raise an alert for each change since the last look; return these alerts.

    Args:
        settings: Settings that name roots, folders, receivers and the limit.
        now: Time in seconds since 1970; default: the present one.

    Raises:
        StorageError: The drive takes no note of what was seen.
    """
    now = time.time() if now is None else now
    try:
        with exclusive_lock(settings.alerts_dir / "look.lock", timeout_s=0.0):
            before = _read(settings)
            until = time.monotonic() + _LOOK_S
            roots, told = _look_at_roots(settings, before.roots, now, until)
            disks, told_of_disks = _look_at_disks(settings, before.disks, now, until)
            alerts = [*told, *told_of_disks]
            for alert in alerts:
                raise_alert(settings, alert)
            after = Surroundings(roots, disks)
            if after != before:  # after the alerts: a look that is killed tells twice, and forgets nothing
                write_json(settings.alerts_dir / STATE, after)
            return alerts
    except TimeoutError:  # another process looks
        return []


def _look_at_roots(
    settings: Settings, before: dict[str, float | None], now: float, until: float
) -> tuple[dict[str, float | None], list[Alert]]:
    names: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(settings.sources) | sources_of_catalogs(settings)):
        for folder in settings.source(name).roots:
            names[str(folder)].append(name)
    after: dict[str, float | None] = {}
    alerts: list[Alert] = []
    for root, sources in names.items():
        asked_before = _ROOTS.is_under_way(root)
        there = _ask(_ROOTS, root, functools.partial(is_there, root), until)
        gone_since = before.get(root)
        is_gone = not there if there is not None else asked_before or gone_since is not None
        if root not in before and not there:
            continue
        after[root] = (gone_since or now) if is_gone else None
        if is_gone != (gone_since is not None):
            of = f"of {', '.join(sources)}"
            alerts.append(_gone(root, of, there is None, now) if is_gone else _back(root, of, gone_since, now))
    return after, alerts


def _gone(root: str, of: str, silent: bool, now: float) -> Alert:
    how = "its drive does not answer" if silent else "it is not there, or empty"
    what = f"A root {of} is gone: {root} ({how})"
    return Alert("root_gone", root, what, "Connect and mount the drive; what needs it waits or fails till then", now)


def _back(root: str, of: str, gone_since: float | None, now: float) -> Alert:
    away = f", after {(now - gone_since) / 60:,.0f} minutes" if gone_since else ""
    do = "Nothing: manifests of the inbox that waited for it are prepared; other work is started again by hand"
    return Alert("root_back", root, f"A root {of} is there again: {root}{away}", do, now)


def _look_at_disks(
    settings: Settings, before: dict[str, float | None], now: float, until: float
) -> tuple[dict[str, float | None], list[Alert]]:
    limit = settings.alerts.min_free_gb * 1e9
    after: dict[str, float | None] = {}
    alerts: list[Alert] = []
    seen: set[int] = set()
    places = (settings.data_root, settings.dataset_dir, settings.cache_dir, settings.run_root, settings.models_dir)
    for place in map(str, places if limit else ()):
        space = _ask(_DRIVES, place, functools.partial(_space, place), until)
        low_since = before.get(place)
        if space is None:
            if place in before:
                after[place] = low_since
            continue
        if space.drive is None or space.drive in seen:
            continue
        seen.add(space.drive)
        is_low = space.free < limit * (ENOUGH if low_since is not None else 1.0)
        after[place] = (low_since or now) if is_low else None
        if is_low != (low_since is not None):
            alerts.append(_low(place, space.free, limit, now) if is_low else _free(place, space.free, limit, now))
    return after, alerts


def _low(place: str, free: int, limit: float, now: float) -> Alert:
    what = f"{free / 1e9:,.1f} GB are free on the drive of {place}, less than the limit of {limit / 1e9:g} GB"
    do = "Free space: `beatsight dataset du` says what takes it, `beatsight dataset prune` what can go"
    return Alert("disk_low", place, what, do, now)


def _free(place: str, free: int, limit: float, now: float) -> Alert:
    what = f"{free / 1e9:,.1f} GB are free on the drive of {place} again; the limit is {limit / 1e9:g} GB"
    return Alert("disk_free", place, what, "Nothing", now)


def _space(place: str) -> Space:
    folder = Path(place)
    try:
        return Space(folder.stat().st_dev, shutil.disk_usage(folder).free)
    except OSError:
        return Space(None, 0)


def _ask(work: "SlowWork[Answer]", name: str, question: Callable[[], Answer], until: float) -> Answer | None:
    """The answer of a drive; None if there is none in time."""
    try:
        return work.answer(name, question, min(_LOOK_AT_ONE_S, until - time.monotonic()))
    except NotYetError:
        return None


def _read(settings: Settings) -> Surroundings:
    path = settings.alerts_dir / STATE
    try:
        return from_json(Surroundings, read_json(path), path)
    except BeatSightError:  # the first look, or a damaged file: what is there now is what was there
        return Surroundings()

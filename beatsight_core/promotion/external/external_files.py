"""Whether the external files, those of other programs that settings name, say what they should of the champion.

A place in such a file is a value of a configuration or the section of a status page. What was written there is
remembered in `models/announced.json`, so that three things can be told apart that look alike:

    pending    it was not told yet of this change of champion, or settings name it only since
    outdated   it says what was written there, and that is not right any more: the data root was moved
    changed    somebody else wrote something there since

The first two are pending updates. The third stays as it is until the champion changes again, or somebody asks.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import BeatSightError, DatasetError, UsageError
from beatsight_core.files import digest_bytes, read_json
from beatsight_core.promotion.external.configs import NamedChampion, plan_configs, present_value, wanted_value
from beatsight_core.promotion.external.edit_file import FileChange
from beatsight_core.promotion.external.status_pages import page_updates
from beatsight_core.runs.lookup import VERSION, WEIGHTS, listed_digests, version_folder
from beatsight_core.runs.roles import Champion, read_pointer
from beatsight_core.settings import ConfigTarget, Settings
from beatsight_core.typed_json import JsonObject, JsonValue

ANNOUNCED = "announced.json"
FORMAT = 2
"""2: with what was written where; before, only up to which change of champion."""

IN_LINE, PENDING, OUTDATED, CHANGED, REFUSED = "in line", "pending", "outdated", "changed", "refused"

_MOST_SHOWN = 200
"""Characters of a value that a message quotes."""

Place = tuple[str, str]
"""A file and the key of its value; of a page the name of its setting."""


@dataclass(frozen=True, slots=True)
class PlaceReport:
    """A place in an external file, as people are told of it.

    Attributes:
        file: Path of the file, as settings name it.
        key: Key of the value, or the setting that names the page.
        state: State of the place, see `ExternalPlace`.
        why: Reason for the state, for a person.
        dead: Flag of a value that names a file or folder that is not there.
        diff: Lines that bringing it in line changes.
    """

    file: str
    key: str
    state: str
    why: str | None
    dead: bool
    diff: str | None


@dataclass(frozen=True, slots=True)
class ExternalPlace:
    """A place in an external file, compared with what it should say.

    Attributes:
        file: Path of the file, as settings name it.
        key: Key of the value, or the setting that names the page.
        state: State, one of "in line", "pending", "outdated", "changed" and "refused", which cannot be brought in line.
        wanted: Text that it should say; of a page a digest.
        now: Text that it says; of a page a digest.
        why: Reason for the state, for a person.
        dead: Flag of a value that names a file or folder that is not there.
        change: Change of the file that brings it in line.
        problem: Error that keeps it from being brought in line.
    """

    file: Path
    key: str
    state: str
    wanted: str | None = None
    now: str | None = None
    why: str | None = None
    dead: bool = False
    change: FileChange | None = None
    problem: BeatSightError | None = None

    @property
    def place(self) -> Place:
        """Its name in the record of what was written."""
        return str(self.file), self.key

    @property
    def is_pending(self) -> bool:
        """Whether promote, rollback and `models --apply` bring it in line."""
        return self.state in (PENDING, OUTDATED)

    @property
    def report(self) -> PlaceReport:
        """The place as people are told of it."""
        diff = self.change.diff if self.change else None
        return PlaceReport(str(self.file), self.key, self.state, self.why, self.dead, diff)

    def __str__(self) -> str:
        """What a person is told of it."""
        return f"{self.file}, {self.key}: {self.why or self.state}"


def standing_of(settings: Settings, version: int) -> NamedChampion:
    """Return what configurations are told of a version that is there."""
    folder = version_folder(settings, version)
    return NamedChampion(version, read_json(folder / VERSION)["run_id"], listed_digests(folder)[WEIGHTS])


def external_places(settings: Settings, champion: Champion) -> list[ExternalPlace]:
    """Return every place that settings name, compared with what it should say of a champion. Changes nothing.

    Args:
        settings: Settings that name the files.
        champion: Champion with the history that led there.
    """
    record = _Record.read(settings)
    places = [_config(settings, champion, target, record) for target in settings.release.configs]
    for setting in ("current_status", "next_steps"):
        path = getattr(settings.release, setting)
        if path is not None:
            places.append(_page(settings, champion, (path, setting), record))
    return places


def places_to_tell(settings: Settings) -> list[ExternalPlace]:
    """Return the places that do not say what they should, for whoever lists or checks something.

    Changes nothing, and raises nothing: what cannot be looked at is among them.
    """
    if not (settings.release.configs or settings.release.current_status or settings.release.next_steps):
        return []
    try:
        champion = read_pointer(settings)
    except BeatSightError:  # the listing of models tells it
        return []
    places = [] if champion is None else external_places(settings, champion)
    return [each for each in places if each.state != IN_LINE]


def record_of(
    settings: Settings, champion: Champion, places: Iterable[ExternalPlace], written: Collection[ExternalPlace]
) -> JsonObject | None:
    """Return what `announced.json` is to say once some places were written; None if it says so already.

    Args:
        settings: Settings that say where it lies.
        champion: Champion with the history that led there.
        places: Places, all of them, as they were before.
        written: Places that are in line now.
    """
    before = _Record.read(settings)
    rows: list[JsonValue] = []
    for each in places:
        known = before.rows.get(each.place)
        if each.state == IN_LINE or each in written:
            row: JsonObject = {"file": str(each.file), "key": each.key, "value": each.wanted}
            rows.append(row | {"change": len(champion.history), "data_root": str(settings.data_root)})
        elif each.state == CHANGED:  # that stays so, and what was written before stays known
            rows.append(known or {"file": str(each.file), "key": each.key, "value": None, "change": before.change})
    return None if rows == list(before.rows.values()) else {"format": FORMAT, "places": rows}


@dataclass(frozen=True, slots=True)
class _Record:
    """The record of what was written where.

    Attributes:
        rows: Place -> file, key, value, the change of champion by its number, and the data root of then.
        change: Number of the last change that all were told of, where an earlier release kept no more than that.
    """

    rows: Mapping[Place, JsonObject]
    change: int | None = None

    @classmethod
    def read(cls, settings: Settings) -> "_Record":
        """Return the record on disk; empty if there is none, or none that can be read."""
        path = settings.models_dir / ANNOUNCED
        try:
            said = read_json(path) if path.is_file() else {}
            if said.get("format") != FORMAT:
                return cls({}, said.get("change"))
            return cls({(row["file"], row["key"]): row for row in said["places"] if {"value", "change"} <= set(row)})
        except (DatasetError, AttributeError, LookupError, TypeError):
            return cls({})

    def state(self, place: Place, now: str, champion: Champion) -> tuple[str, str]:
        """Return the state of a place that does not say what it should, and what is known of it."""
        row = self.rows.get(place)
        if (row["change"] if row else self.change) != len(champion.history):
            return PENDING, f"it is not told yet that version {champion.version} is in use"
        if row and row["value"] == now:
            return OUTDATED, f"it says what was written there when the data root was {row.get('data_root')}"
        return CHANGED, "somebody else wrote there since"


def _config(settings: Settings, champion: Champion, target: ConfigTarget, record: _Record) -> ExternalPlace:
    try:
        standing = standing_of(settings, champion.version)
        wanted, now = wanted_value(settings, standing, target), present_value(settings, target)
        change = plan_configs(settings, standing, [target])[0]
    except BeatSightError as problem:
        return _refused(target.file, target.key, problem)
    except ModuleNotFoundError as missing:
        lacking = UsageError(f"The package {missing.name} is not installed", do="pip install -e '.[all]'")
        return _refused(target.file, target.key, lacking)
    found = ExternalPlace(target.file, target.key, IN_LINE, wanted, now, dead=_is_dead(now))
    if change.after == change.before:
        return found
    state, why = record.state(found.place, now, champion)
    if state == CHANGED and not record.rows and _fits_elsewhere(settings, standing, target, now):
        state, why = OUTDATED, "it names a model of a data root that is not this one"
    said = "which is not there" if found.dead else "which is not what it should say"
    why = f"{why}; it says {now[:_MOST_SHOWN]!r}, {said}"
    return dataclasses.replace(found, state=state, why=why, change=change)


def _page(settings: Settings, champion: Champion, named: tuple[Path, str], record: _Record) -> ExternalPlace:
    path, setting = named
    try:
        (update,) = page_updates(settings, champion, (setting,))
    except BeatSightError as problem:
        return _refused(path, setting, problem)
    found = ExternalPlace(path, setting, IN_LINE, digest_bytes(update.wanted), digest_bytes(update.now))
    if update.change.after == update.change.before:
        return found
    state, why = record.state(found.place, str(found.now), champion)
    if state == CHANGED and not record.rows and _without_links(update.now) == _without_links(update.wanted):
        state, why = OUTDATED, "its links lead to a data root that is not this one"
    return dataclasses.replace(found, state=state, why=why, change=update.change)


def _without_links(section: bytes) -> bytes:
    return re.sub(rb"\]\([^)]*\)", b"]()", section)


def _refused(file: Path, key: str, problem: BeatSightError) -> ExternalPlace:
    return ExternalPlace(file, key, REFUSED, why=str(problem), problem=problem)


def _is_dead(value: str) -> bool:
    """Whether a value names a file that is not there."""
    try:
        return Path(value).is_absolute() and not Path(value).exists()
    except (OSError, ValueError):  # too long for a path, and other texts that begin like one
        return False


def _fits_elsewhere(settings: Settings, standing: NamedChampion, target: ConfigTarget, now: str) -> bool:
    """Whether a value is what its template gives in another data root: for what an earlier release wrote."""
    values = {
        name: ".+" + re.escape(value.removeprefix(str(settings.data_root)))
        if value.startswith(str(settings.data_root))
        else re.escape(value)
        for name, value in standing.values(settings).items()
    }
    parts = re.split(r"\{(\w+)\}", target.value)
    pattern = "".join(values.get(part, "") if number % 2 else re.escape(part) for number, part in enumerate(parts))
    return re.fullmatch(pattern, now) is not None

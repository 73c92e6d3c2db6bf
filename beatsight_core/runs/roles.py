"""The roles of models (champion, previous and challenger), read from the pointer, the versions and the gate records.

`models/champion.json` is the one pointer; the room `promotion` writes it. Nobody writes down who the challenger is: it
is the run that was judged last and has not become a version yet, whatever the verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from typing_extensions import TypedDict  # pydantic reads results that hold one, and needs this class before Python 3.12

from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.files import read_json
from beatsight_core.gates.record import PROMOTION_RECORD
from beatsight_core.runs.records import Run, list_runs
from beatsight_core.settings import Settings

POINTER = "champion.json"
VERSION = "version.json"

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
ROLES = (CHAMPION, PREVIOUS, CHALLENGER)
"""Names that mean a model by what it is."""


class ChampionChange(TypedDict):
    """A change of champion, as a line of the pointer's history.

    Attributes:
        version: Version that became champion.
        run_id: Id of the run that the version came of.
        action: Kind of change, "promote" or "rollback".
        at: Time in UTC.
        by: Person who changed it.
        why: Reason in that person's words.
        forced: Reason for promoting although a criterion failed; None if none did.
        notice: Text that every reader of the model must see; None without any.
    """

    version: int
    run_id: str
    action: str
    at: str
    by: str
    why: str
    forced: str | None
    notice: str | None


@dataclass(frozen=True, slots=True)
class Champion:
    """The champion and all changes before it, as the pointer has them.

    Attributes:
        version: Version of the champion.
        history: Changes of champion, oldest first.
    """

    version: int
    history: tuple[ChampionChange, ...] = field(default=())

    @property
    def since(self) -> ChampionChange:
        """The change that made this version champion."""
        return self.history[-1]

    @property
    def previous(self) -> int | None:
        """The version that was champion before this one was promoted, by which a rollback goes back."""
        for before, change in reversed(list(pairwise(self.history))):
            if change["version"] == self.version and change["action"] == "promote":
                return int(before["version"])
        return None

    def succeeded_by(self, version: int, entry: Mapping[str, str | None]) -> "Champion":
        """Return the champion after a change, with the change in its history.

        Args:
            version: Version that becomes champion.
            entry: Values of the change beside its version.
        """
        change = cast(ChampionChange, {"version": version, **entry})
        return Champion(version, (*self.history, change))


@dataclass(frozen=True, slots=True)
class Challenger:
    """The run that was judged last and is no version.

    Attributes:
        run: Run that was judged.
        record: Gate record of the run, as written; `promote` looks whether it still counts.
    """

    run: Run
    record: dict[str, Any]

    def to_json(self) -> dict[str, str | bool | list[str] | dict[str, float]]:
        """Return the run and its verdict, JSON-safe."""
        rows = self.record["criteria"]
        return {
            "run_id": self.run.run_id,
            "passed": bool(self.record["passed"]),
            "failed": [row["name"] for row in rows if not row["passed"]],
            "figures": {row["name"]: row["value"] for row in rows},
            "judged_at": self.record["made"]["at"],
        }


def read_pointer(settings: Settings) -> Champion | None:
    """Return the pointer as it is on disk; None before the first promotion.

    Raises:
        ModelError: The pointer is broken.
    """
    path = settings.models_dir / POINTER
    if not path.is_file():
        return None
    try:
        value = read_json(path)
        found = Champion(int(value["version"]), tuple(value["history"]))
        for number, entry in enumerate(found.history, 1):
            _check_entry(number, entry)
        if found.since["version"] != found.version:
            raise ValueError(f"its history ends with version {found.since['version']}, and it names {found.version}")
        return found
    except (DatasetError, LookupError, TypeError, ValueError) as error:
        raise ModelError(
            "The pointer to the champion is broken", where=path, why=str(error), do="restore it from a backup"
        ) from error


def _check_entry(number: int, entry: ChampionChange) -> None:
    """Refuse a change of champion that lacks what everybody who reads the history asks it for.

    Raises:
        ValueError: The entry lacks a value, or one is of a wrong kind.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"entry {number} of its history is not a table")
    if lacking := [name for name in ChampionChange.__annotations__ if name not in entry]:
        raise ValueError(f"entry {number} of its history lacks {', '.join(lacking)}")
    wrong = [name for name in ("action", "at", "by", "why", "run_id") if not isinstance(entry.get(name), str)]
    if wrong or not isinstance(entry["version"], int):
        raise ValueError(f"in entry {number} of its history {', '.join(wrong) or 'version'} is of a wrong kind")


def find_challenger(settings: Settings) -> Challenger | None:
    """Return the finished run that was judged last and whose weights no version holds; None if there is none."""
    versions = set(versions_by_origin(settings))
    found = []
    for run in list_runs(settings):
        record = _record(run)
        if record is None:
            continue
        checkpoint = record["digests"].get("checkpoint")
        if not versions & {(run.run_id, checkpoint), (run.trained_as, checkpoint)}:
            found.append(Challenger(run, record))
    return max(found, key=lambda each: (str(each.record["made"]["at"]), each.run.run_id), default=None)


def versions_by_origin(settings: Settings) -> dict[tuple[str, str], int]:
    """Return run and digest of the checkpoint -> the version that came of them; the newest if there are several."""
    folders = [path for path in settings.models_dir.glob("versions/*") if path.name.isdecimal()]
    folders.sort(key=lambda path: int(path.name))
    return {came_of: int(path.name) for path in folders if (came_of := _came_of(path / VERSION))}


def _came_of(path: Path) -> tuple[str, str] | None:
    """Return the run and the checkpoint that a version came of; None if it does not say so any more."""
    try:
        about = read_json(path)
        return str(about["run_id"]), str(about["digests"]["checkpoint"])
    except (DatasetError, LookupError, TypeError):
        return None


def _record(run: Run) -> dict[str, Any] | None:
    """Return a finished run's gate record; one that cannot be read names no challenger."""
    if run.status != "finished" or not (run.folder / PROMOTION_RECORD.file).is_file():
        return None
    try:
        record = read_json(run.folder / PROMOTION_RECORD.file)
    except DatasetError:
        return None
    needed = {"criteria", "passed", "digests", "made"}
    return record if isinstance(record, dict) and needed <= set(record) else None

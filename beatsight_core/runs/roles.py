"""Who is champion, who was before, and who stands for it: read from the pointer, the versions and the gate records.

`models/champion.json` is the one pointer; the room `promotion` writes it. Nobody writes down who the challenger is: it
is the run that was judged last and has not become a version yet, whatever the verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.files import read_json
from beatsight_core.runs.records import Run, list_runs
from beatsight_core.settings import Settings

POINTER = "champion.json"
VERSION = "version.json"
JUDGED = Path("gates") / "promotion.json"
"""A run's gate record, in its folder."""

_OF_A_CHANGE = ("version", "action", "run_id", "at", "by", "why", "forced", "notice")
"""What each change of champion is kept with."""

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
ROLES = (CHAMPION, PREVIOUS, CHALLENGER)
"""Names that mean a model by what it is."""


@dataclass(frozen=True, slots=True)
class Champion:
    """What the pointer says.

    Attributes:
        version: The champion's version.
        history: Every change of champion, oldest first: version, run_id, action, at, by, why, forced, notice.
    """

    version: int
    history: tuple[dict[str, Any], ...] = field(default=())

    @property
    def since(self) -> dict[str, Any]:
        """The change that made it champion."""
        return self.history[-1]

    @property
    def previous(self) -> int | None:
        """The version that was champion before this one was promoted, by which a rollback goes back."""
        for place in range(len(self.history) - 1, 0, -1):
            if self.history[place]["version"] == self.version and self.history[place]["action"] == "promote":
                return int(self.history[place - 1]["version"])
        return None

    def succeeded_by(self, version: int, entry: Mapping[str, Any]) -> "Champion":
        """The champion after a change, with the change in its history."""
        return Champion(version, (*self.history, {"version": version, **entry}))


@dataclass(frozen=True, slots=True)
class Challenger:
    """The run that was judged last and is no version.

    Attributes:
        run: The run.
        record: Its gate record, as written; `promote` looks whether it still counts.
    """

    run: Run
    record: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Who it is, and what it was told."""
        rows = self.record["criteria"]
        return {
            "run_id": self.run.run_id,
            "passed": bool(self.record["passed"]),
            "failed": [row["name"] for row in rows if not row["passed"]],
            "figures": {row["name"]: row["value"] for row in rows},
            "judged_at": self.record["made"]["at"],
        }


def read_pointer(settings: Settings) -> Champion | None:
    """The pointer as it is on disk; None before the first promotion.

    Raises:
        ModelError: It is broken.
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


def _check_entry(number: int, entry: Any) -> None:
    """Refuse a change of champion that lacks what everybody who reads the history asks it for.

    Raises:
        ValueError: It does.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"entry {number} of its history is not a table")
    if lacking := [name for name in _OF_A_CHANGE if name not in entry]:
        raise ValueError(f"entry {number} of its history lacks {', '.join(lacking)}")
    wrong = [name for name in ("action", "at", "by", "why", "run_id") if not isinstance(entry[name], str)]
    if wrong or not isinstance(entry["version"], int):
        raise ValueError(f"in entry {number} of its history {', '.join(wrong) or 'version'} is of a wrong kind")


def find_challenger(settings: Settings) -> Challenger | None:
    """The finished run that was judged last and whose weights no version holds; None if there is none."""
    folders = [path for path in settings.models_dir.glob("versions/*") if path.name.isdecimal()]
    versions = {_came_of(path / VERSION) for path in folders}
    found = []
    for run in list_runs(settings):
        record = _record(run)
        if record is None:
            continue
        checkpoint = record["digests"].get("checkpoint")
        if not versions & {(run.run_id, checkpoint), (run.trained_as, checkpoint)}:
            found.append(Challenger(run, record))
    return max(found, key=lambda each: (str(each.record["made"]["at"]), each.run.run_id), default=None)


def _came_of(path: Path) -> tuple[str, str] | None:
    """The run and the checkpoint that a version came of; None if it does not say so any more."""
    try:
        about = read_json(path)
        return str(about["run_id"]), str(about["digests"]["checkpoint"])
    except (DatasetError, LookupError, TypeError):
        return None


def _record(run: Run) -> dict[str, Any] | None:
    """A finished run's gate record; one that cannot be read names no challenger."""
    if run.status != "finished" or not (run.folder / JUDGED).is_file():
        return None
    try:
        record = read_json(run.folder / JUDGED)
    except DatasetError:
        return None
    needed = {"criteria", "passed", "digests", "made"}
    return record if isinstance(record, dict) and needed <= set(record) else None

"""Rivals of a run: the model that was asked for, the run before it, and the champion.

They belong to an evaluation's identity: when another run or champion comes, evaluating again makes another folder, and
none is ever changed.
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import BeatSightError
from beatsight_core.evaluation.finding import digests_of
from beatsight_core.evaluation.subject import RivalIdentity, require_finished
from beatsight_core.files import read_json
from beatsight_core.runs.lookup import VERSION, champion_version, find_model
from beatsight_core.runs.records import METRICS, Run, list_runs
from beatsight_core.settings import Settings

ASKED_FOR, PREVIOUS_RUN, CHAMPION = "asked for", "previous run", "champion"

KEY_DIGEST = 9
"""Characters of a manifest's key after its stem: a dash and eight hex digits."""

logger = logging.getLogger("beatsight")


@dataclass(frozen=True, slots=True, eq=False)
class Rival:
    """A model to compare a run with.

    Attributes:
        roles: Roles that make it a rival.
        name: Id of its run, or "version 3".
        source: Run, or folder of the version.
        run_id: Id of the run that it is or came of.
        digests: Digests of its checkpoint, its thresholds, and the dataset that it learned from.
    """

    roles: tuple[str, ...]
    name: str
    source: Run | Path
    run_id: str
    digests: Mapping[str, str]

    @property
    def answers(self) -> dict[str, str]:
        """Digests that determine its predictions."""
        return {name: self.digests[name] for name in ("checkpoint", "thresholds")}

    @property
    def identity(self) -> RivalIdentity:
        """The part of it that enters an evaluation's identity."""
        return RivalIdentity(self.roles, self.name, self.digests["checkpoint"], self.digests["thresholds"])


def find_rivals(
    settings: Settings, trained: Run, own: Mapping[str, str], asked_for: str | None, *, usual: bool
) -> list[Rival]:
    """Return the models to compare a run with, each once.

    A previous run or champion that is broken is left out with a warning. The run itself is a rival only if asked for.

    Args:
        settings: Settings that say where runs and models lie.
        trained: Run that is compared.
        own: Digests of the run.
        asked_for: Run or version, as `find_model` takes it.
        usual: Flag that makes rivals of the run before it and of the champion.

    Raises:
        ModelError: The rival that was asked for is missing, not finished, or broken.
    """
    rivals = [] if asked_for is None else [_rival(ASKED_FOR, find_model(settings, asked_for))]
    ways: tuple[tuple[str, Callable[[], Run | Path | None]], ...] = (
        (PREVIOUS_RUN, lambda: previous_run(settings, trained)),
        (CHAMPION, lambda: None if champion_version(settings) is None else find_model(settings)),
    )
    for role, find in ways if usual else ():
        rival = _if_whole(role, find)
        if rival is None:
            continue
        twin = next((place for place, other in enumerate(rivals) if other.answers == rival.answers), None)
        if twin is not None:
            rivals[twin] = dataclasses.replace(rivals[twin], roles=(*rivals[twin].roles, role))
        elif not rival.answers.items() <= own.items():
            rivals.append(rival)
    return rivals


def previous_run(settings: Settings, trained: Run) -> Run | None:
    """Return the run of the same preset and manifest that was finished last before this one.

    If there is none, one of another state of the same manifest: its key has the same stem.
    """
    ended = _ended(trained)
    kin = [
        run
        for run in list_runs(settings)
        if run.status == "finished" and run.preset == trained.preset and run.run_id != trained.run_id
        and run.key[:-KEY_DIGEST] == trained.key[:-KEY_DIGEST] and _ended(run) < ended
    ]  # fmt: skip
    return max((run for run in kin if run.key == trained.key), key=_ended, default=max(kin, key=_ended, default=None))


def _ended(run: Run) -> int:
    return (run.folder / METRICS).stat().st_mtime_ns


def _if_whole(role: str, find: Callable[[], Run | Path | None]) -> Rival | None:
    try:
        source = find()
        return None if source is None else _rival(role, source)
    except BeatSightError as error:
        logger.warning("not compared with the %s: %s", role, error)
        return None


def _rival(role: str, source: Run | Path) -> Rival:
    if isinstance(source, Run):
        run = require_finished(source)
        return Rival((role,), run.run_id, run, run.run_id, digests_of(run, run.dataset_digest, run.spec))
    about = read_json(source / VERSION)
    return Rival((role,), f"version {about['version']}", source, about["run_id"], about["digests"])

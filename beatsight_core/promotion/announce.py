"""What others are told when the champion changes: configurations and status pages, brought in line once per change.

Like the pair and the history these derive from the pointer, so a kill is completed by the next command. But they belong
to somebody else: what a person writes into them afterwards stays, until the champion changes again or
settings name other files. `models/announced.json` says up to which change they were brought in line.
"""

import logging
from typing import Any

from beatsight_core.errors import BeatSightError, DatasetError
from beatsight_core.evaluation.lookup import VERSION, WEIGHTS, listed_digests, version_folder
from beatsight_core.evaluation.roles import Champion
from beatsight_core.files import digest_json, read_json, write_json
from beatsight_core.promotion.bundle import number_for
from beatsight_core.promotion.configs import Standing, plan_configs
from beatsight_core.promotion.criteria import Judgement
from beatsight_core.promotion.foreign_file import FileChange
from beatsight_core.promotion.status_pages import check_pages, plan_pages
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")

ANNOUNCED = "announced.json"


def standing_of(settings: Settings, version: int) -> Standing:
    """What configurations are told of a version that is there."""
    folder = version_folder(settings, version)
    return Standing(version, read_json(folder / VERSION)["run_id"], listed_digests(folder)[WEIGHTS])


def standing_to_be(settings: Settings, judgement: Judgement, forced: str | None) -> Standing:
    """What configurations will be told of a run when it is promoted."""
    version, _ = number_for(settings, judgement, forced)
    return Standing(version, judgement.run_id, judgement.record["digests"][WEIGHTS])


def plan_announcement(settings: Settings, champion: Champion) -> list[FileChange]:
    """What is to be written now that, or in case that, this is the champion. Changes nothing.

    Raises:
        SettingsError: A file that settings name cannot be brought in line; says what to do.
    """
    return [*plan_configs(settings, standing_of(settings, champion.version)), *plan_pages(settings, champion)]


def check_announcement(settings: Settings, standing: Standing) -> list[FileChange]:
    """Make sure that a champion that is no version yet could be announced; what configurations would become.

    Raises:
        SettingsError: A file that settings name cannot be brought in line; says what to do.
    """
    check_pages(settings)
    return plan_configs(settings, standing)


def announce(settings: Settings, champion: Champion) -> list[FileChange]:
    """Bring in line what is not. The caller holds the lock of the models.

    Returns:
        What was changed; nothing if this change had been announced before.

    Raises:
        SettingsError: A file cannot be brought in line.
        StorageError: The drive refused; the next command goes on.
    """
    mark = _mark(settings, champion)
    if mark is None or _announced(settings) == mark:
        return []
    changes = [change for change in plan_announcement(settings, champion) if change.after != change.before]
    for change in changes:
        change.apply()
    write_json(settings.models_dir / ANNOUNCED, mark)
    return changes


def announce_if_possible(settings: Settings, champion: Champion) -> tuple[list[FileChange], str | None]:
    """The same once the champion has changed, or for a command with another purpose: what cannot be done is a warning.

    An error would say that the same command goes on; a second rollback goes one step further back.

    Returns:
        What was changed; and why not everybody is told, if that is so.
    """
    try:
        return announce(settings, champion), None
    except BeatSightError as error:
        logger.warning("the change of champion is not announced everywhere: %s", error)
        return [], f"not everybody is told of it yet; the next command tries again: {error}"


def _mark(settings: Settings, champion: Champion) -> dict[str, Any] | None:
    """Which change it is, and who is to be told; None if nobody is."""
    release = settings.release
    told = {
        "configs": [[str(each.file), each.key, each.value] for each in release.configs],
        "pages": [str(page) for page in (release.current_status, release.next_steps) if page],
    }
    if not any(told.values()):
        return None
    return {"change": len(champion.history), "version": champion.version, "told": digest_json(told)}


def _announced(settings: Settings) -> Any:
    path = settings.models_dir / ANNOUNCED
    try:
        return read_json(path) if path.is_file() else None
    except DatasetError:
        return None

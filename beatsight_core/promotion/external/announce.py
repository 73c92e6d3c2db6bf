"""What external files are told when the champion changes: configurations and status pages, brought in line.

Like weights, sidecar and history these derive from the pointer, so a kill is completed by the next promote, rollback or
`models --apply`; a listing only says what is pending. But they belong to somebody else: what a person writes into them
afterwards stays, until the champion changes again or somebody asks for it (`external_files`).
"""

import logging
from collections.abc import Collection

from beatsight_core.errors import BeatSightError
from beatsight_core.files import write_json
from beatsight_core.promotion.external.configs import NamedChampion, plan_configs
from beatsight_core.promotion.external.edit_file import FileChange, require_writable
from beatsight_core.promotion.external.external_files import (
    ANNOUNCED,
    CHANGED,
    REFUSED,
    ExternalPlace,
    external_places,
    record_of,
    standing_of,
)
from beatsight_core.promotion.external.status_pages import check_pages, page_updates
from beatsight_core.promotion.judge import Judgement
from beatsight_core.promotion.version.write_version import number_for
from beatsight_core.runs.lookup import WEIGHTS
from beatsight_core.runs.roles import Champion
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")


def standing_to_be(settings: Settings, judgement: Judgement, forced: str | None) -> NamedChampion:
    """Return what configurations will be told of a run when it is promoted."""
    version, _ = number_for(settings, judgement, forced)
    return NamedChampion(version, judgement.run_id, judgement.record["digests"][WEIGHTS])


def plan_announcement(
    settings: Settings, champion: Champion, places: Collection[ExternalPlace] | None = None
) -> list[FileChange]:
    """Return what is to be written now that, or in case that, this is the champion. Changes nothing.

    Args:
        settings: Settings that name the files.
        champion: Champion that is or would be.
        places: Places that are looked at; all by default.

    Returns:
        A change per file that is not as it should be.

    Raises:
        SettingsError: A file that settings name cannot be brought in line; says what to do.
    """
    keys = None if places is None else {each.place for each in places}
    targets = [each for each in settings.release.configs if keys is None or (str(each.file), each.key) in keys]
    pages = {each.key for each in places or ()} if keys is not None else {"current_status", "next_steps"}
    changes = plan_configs(settings, standing_of(settings, champion.version), targets) if targets else []
    changes += [update.change for update in page_updates(settings, champion, pages)]
    changes = [change for change in changes if change.after != change.before]
    for change in changes:
        require_writable(change)
    return changes


def check_announcement(settings: Settings, standing: NamedChampion) -> list[FileChange]:
    """Make sure that a champion that is no version yet could be announced; return what configurations would become.

    Raises:
        SettingsError: A file that settings name cannot be brought in line; says what to do.
    """
    check_pages(settings)
    changes = plan_configs(settings, standing)
    for change in changes:
        require_writable(change)
    return changes


def to_be_written(places: Collection[ExternalPlace], *, everything: bool = False) -> list[ExternalPlace]:
    """Return the places with pending updates; with `everything` also those that somebody changed."""
    return [each for each in places if each.is_pending or (everything and each.state == CHANGED)]


def announce(settings: Settings, champion: Champion, *, everything: bool = False) -> list[FileChange]:
    """Bring external files in line. The caller holds the lock of the models.

    Args:
        settings: Settings that name the files.
        champion: Champion with the history that led there.
        everything: Flag that also replaces what somebody else wrote there.

    Returns:
        What was changed; nothing if all is in line.

    Raises:
        SettingsError: A file cannot be brought in line; none is changed then.
        StorageError: The drive refused; the next command goes on.
    """
    places = external_places(settings, champion)
    if not places:
        return []
    for each in places:
        if each.state == REFUSED and each.problem is not None:
            raise each.problem
    chosen = to_be_written(places, everything=everything)
    changes = plan_announcement(settings, champion, chosen)
    for change in changes:
        change.apply()
    record = record_of(settings, champion, places, chosen)
    if record is not None:
        write_json(settings.models_dir / ANNOUNCED, record)
    return changes


def announce_if_possible(settings: Settings, champion: Champion) -> tuple[list[FileChange], str | None]:
    """Bring external files in line after a change of champion, or for another command: a failure is a warning.

    An error would say that the same command goes on; a second rollback goes one step further back.

    Returns:
        What was changed; and why updates are pending, if some are.
    """
    try:
        return announce(settings, champion), None
    except BeatSightError as error:
        logger.warning("the change of champion is not announced everywhere: %s", error)
        return [], f"not everybody is told of it yet; `beatsight models --apply` tries again: {error}"

"""The run that is meant: the one named, else the newest finished one of a manifest."""

from collections.abc import Iterable

from beatsight_core.errors import ModelError
from beatsight_core.runs.records import Run, list_runs, open_run
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings


def newest_finished(runs: Iterable[Run], key: str, *, preset: str | None = None) -> Run | None:
    """Return the first finished run of a manifest.

    Args:
        runs: Runs, the one worked on last first.
        key: Key of the manifest.
        preset: Name of a preset to which the search is limited.
    """
    mine = (run for run in runs if run.key == key and preset in (None, run.preset))
    return next((run for run in mine if run.status == "finished"), None)


def newest_run(settings: Settings, key: str, *, preset: str | None = None) -> Run | None:
    """Return the finished run of a manifest that was worked on last.

    Args:
        settings: Settings with the folder of the runs.
        key: Key of the manifest.
        preset: Name of a preset to which the search is limited.
    """
    return newest_finished(list_runs(settings), key, preset=preset)


def candidate(settings: Settings, key: str, run_id: str | None = None) -> Run:
    """Return the run that is meant: the one named, else the newest finished one of the manifest.

    Args:
        settings: Settings with the folder of the runs.
        key: Key of the manifest.
        run_id: Id of a run, or a beginning of one.

    Raises:
        ModelError: There is no such run, or none of this manifest is finished.
    """
    found = open_run(settings, run_id) if run_id else newest_run(settings, key)
    if found is None or found.status != "finished":
        said = f"Run {run_id!r} is not finished" if found else f"No run of manifest {key} is finished"
        raise ModelError(said, where=settings.run_root, do=f"train first: beatsight train {for_shell(key)}")
    return found

"""Beginning a run afresh: what is there of it is put aside, under a name that stays in the list of runs.

A run's id follows from what it is made of, so the one that is begun afresh takes the same id. The earlier one becomes
`<run id>-earlier-<n>`, with its evaluations; it can be evaluated, judged and promoted as before. One that was stopped
before its first checkpoint has nothing to keep, and is deleted.
"""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from beatsight_core.errors import DatasetError, GateError, UsageError
from beatsight_core.files import read_json, sha256_file, storage_errors, write_json
from beatsight_core.provenance import who_and_when
from beatsight_core.runs import records
from beatsight_core.runs.lookup import ABOUT
from beatsight_core.runs.roles import POINTER, VERSION
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")

ASIDE = "aside.json"
"""In the folder of a run that was put aside: under which id it was trained, when it was put aside, by whom, and why."""


def begin_afresh(settings: Settings, folder: Path, version_override: str | None = None) -> None:
    """Make room for a run in its folder. The caller holds the run's lock.

    Args:
        settings: Settings with the folders of runs, evaluations and models.
        folder: Folder of the run; there need not be one.
        version_override: Reason for doing so although a model version came of the run that is there.

    Raises:
        GateError: A model version came of it, and no reason is given.
        UsageError: The reason is blank.
        StorageError: The drive refused; the run is then where it was.
    """
    if version_override is not None and not version_override.strip():
        raise UsageError("A blank reason was given for beginning afresh", do="say why, in words")
    if not folder.exists():
        return
    if not has_work(folder):
        discard(folder)
        return
    named = list(versions_of(settings, folder))
    if named and version_override is None:
        raise _refusal(folder, named)
    _put_aside(settings, folder, named, version_override)


def has_work(folder: Path) -> bool:
    """Return whether a run has anything that was trained. Without its configuration it has not begun."""
    trained = (folder / records.METRICS).is_file() or any((folder / records.CHECKPOINTS).glob("*.pt"))
    return trained and (folder / records.CONFIG).is_file()


def settle_evaluations(settings: Settings, folder: Path) -> None:
    """Give evaluations to the run that they are of, where a kill came between its moving aside and theirs.

    Only finished runs are evaluated. So evaluations under the id of one that is not finished are of the one before.
    """
    evaluations = settings.metrics_dir / folder.name
    if (folder / records.METRICS).is_file() or not evaluations.is_dir():
        return
    newest = max(records.earlier_runs(folder), default=None)
    if newest is None:
        return
    target = settings.metrics_dir / f"{folder.name}{records.EARLIER}{newest}"
    if not target.exists():
        with storage_errors(evaluations):
            evaluations.rename(target)


def discard(folder: Path) -> None:
    """Delete a folder of nothing that was trained. It is renamed first, so that no reader sees a part of it."""
    aside = folder.with_name(f".discarded-{folder.name}")
    with storage_errors(folder):
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        shutil.rmtree(aside)


def versions_of(settings: Settings, folder: Path) -> Iterator[str]:
    """Give the name of each model version that came of the run in a folder, with the weights that it has now.

    A version that does not say any more what it came of counts, too: nobody can know.
    """
    for version in sorted(settings.models_dir.glob("versions/*"), key=lambda path: (len(path.name), path.name)):
        if version.name.isdecimal() and _came_of(version, folder):
            yield f"version {version.name}"
    try:
        entry = read_json(settings.models_dir / POINTER)["history"][-1]
        run_id, number = str(entry["run_id"]), str(entry["version"])
    except (DatasetError, LookupError, TypeError):
        return  # there is none, or its version has been looked at above
    if run_id == folder.name and not (settings.models_dir / "versions" / number).is_dir():
        yield f"the champion, version {number}, whose folder is gone"


def _came_of(version: Path, folder: Path) -> bool:
    try:
        about = read_json(version / VERSION)
        run_id, checkpoint = str(about["run_id"]), str(about["digests"]["checkpoint"])
    except (DatasetError, LookupError, TypeError):
        return _may_have_come_of(version, folder)
    best = folder / records.CHECKPOINTS / "best.pt"
    return run_id == folder.name and (not best.is_file() or sha256_file(best) == checkpoint)


def _may_have_come_of(version: Path, folder: Path) -> bool:
    """Return whether a version that is damaged may have come of a run, by the file that goes with its weights."""
    try:
        return bool(read_json(version / ABOUT)["run_id"] == folder.name)
    except (DatasetError, LookupError, TypeError):
        return True


def _put_aside(settings: Settings, folder: Path, named: list[str], why: str | None) -> None:
    number = max(records.earlier_runs(folder), default=0) + 1
    aside = folder.with_name(f"{folder.name}{records.EARLIER}{number}")
    said = {"run_id": folder.name, "versions": named, "why": why, **who_and_when()}
    write_json(folder / ASIDE, said)
    with storage_errors(folder):
        folder.rename(aside)
    settle_evaluations(settings, folder)
    logger.info("what was there of %s is kept as %s; delete that folder when nobody needs it", folder.name, aside)


def _refusal(folder: Path, named: list[str]) -> GateError:
    return GateError(
        f"Run {folder.name} is not begun afresh, as {' and '.join(named)} came of it",
        where=folder,
        why="another run would take its id, and nobody could tell any more what the model was made of",
        do="leave out --fresh, or train another run, as by --set seed=2; --override-version REASON (in Dagster "
        "override_version) puts it aside under another name all the same",
    )

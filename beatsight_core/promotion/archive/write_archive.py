"""What a later reader needs of a run, in one folder that does not change: `reports/archive/YYYYMMDD/<run id>/`.

    run/          config, environment, thresholds, final metrics, curves; history as JSON lines and as CSV; where W&B
                  shows it, and the summary that it shows there
    gate.json     the gate record of its promotion; gates/ holds all of its gate records
    dataset/      the indexes (shards, counts, digests) and the catalog's summary
    health/       the health report and its lists, and the approved baseline
    evaluation/   every evaluation: metrics, report, confusions, the most confident mistakes, likely label errors
    model/        card, checks and checksums of the versions that came of it
    status/       of the champion's run: what the status pages said of it
    archive.json  what this is, and what was not there to be archived
    SHA256SUMS    of all files: `sha256sum -c SHA256SUMS`, or `beatsight archive --verify`

No audio files, no weights. Nothing is made for the archive: a catalog that was made anew has lost its audio inventory,
and the archive says that it is absent. Archiving the same again finds the folder that is there; if anything has changed
since, another folder is made beside it.
"""

import datetime
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.files import (
    atomic_folder,
    digest_bytes,
    digest_json,
    exclusive_lock,
    read_json,
    sha256_file,
    write_json,
    write_text,
)
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.promotion.archive.archive_folders import ABOUT, archive_folders, is_archive
from beatsight_core.promotion.archive.archive_sources import found_files, made_texts
from beatsight_core.promotion.archive.check_archive import SUMS, check_archive
from beatsight_core.promotion.judge import is_version_of
from beatsight_core.promotion.promote import champion
from beatsight_core.provenance import who_and_when
from beatsight_core.runs.lookup import VERSION, version_folder
from beatsight_core.runs.records import Run, list_runs, open_run
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, to_json

FORMAT = 2
"""2: with gates/, status/, and what W&B shows."""


@dataclass(frozen=True, slots=True)
class ArchiveResult:
    """An archived run.

    Attributes:
        run_id: Id of the run.
        folder: Folder of its archive.
        files: Number of files in it.
        bytes: Size of these.
        absent: Files that were not there to be archived.
        reused: Flag of an archive of this very state that had been made before.
    """

    run_id: str
    folder: Path
    files: int
    bytes: int
    absent: tuple[str, ...]
    reused: bool

    def to_json(self) -> JsonObject:
        """Return the result as JSON values."""
        return to_json(self)


def archive_run(settings: Settings, run: str | None = None) -> ArchiveResult:
    """Archive a run with everything that led to it.

    Args:
        settings: Settings with paths.
        run: Id of a run, a beginning of one, or "latest"; by default the champion's.

    Raises:
        ModelError: There is no such run, or no champion whose run could be meant.
        StorageError: The drive refused; nothing half-made is left.
    """
    trained = open_run(settings, run if run is not None else _champions_run(settings))
    with exclusive_lock(settings.archive_dir / ".lock"):
        sources, absent = found_files(settings, trained)
        texts = made_texts(settings, trained)
        digests = {name: sha256_file(path) for name, path in sources.items()}
        inputs = digest_json({**digests, **{name: digest_bytes(text.encode()) for name, text in texts.items()}})
        folder = _archived_before(settings, trained, inputs)
        reused = folder is not None
        if folder is None:
            folder = _free_folder(settings, trained)
            _write(folder, sources, texts, _about(trained, inputs, absent))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return ArchiveResult(
        trained.run_id, folder, len(files), sum(path.stat().st_size for path in files), tuple(absent), reused
    )


def _champions_run(settings: Settings) -> str:
    now = champion(settings)
    if now is None:
        raise ModelError("There is no champion to archive", where=settings.models_dir, do="name a run, or promote one")
    about = read_json(version_folder(settings, now.version) / VERSION)
    put_aside = [run for run in list_runs(settings) if run.trained_as != run.run_id]
    of_it = (run.run_id for run in put_aside if is_version_of(settings, now.version, run))
    return next(of_it, str(about["run_id"]))


def _archived_before(settings: Settings, trained: Run, inputs: str) -> Path | None:
    """Return an archive of this run that was made from the same files and is whole."""
    for day in settings.archive_dir.glob("*/"):
        remove_leftovers(day, is_archive)
    for folder in archive_folders(settings):
        if (folder / ABOUT).is_file() and _names(folder / ABOUT, trained, inputs) and check_archive(folder).whole:
            return folder
    return None


def _names(about: Path, trained: Run, inputs: str) -> bool:
    """Return whether an archive says that it is of this run in this state; a damaged one says nothing."""
    try:
        value = read_json(about)
        return bool((value["run_id"], value["inputs"]) == (trained.run_id, inputs))
    except (DatasetError, LookupError, TypeError):
        return False


def _free_folder(settings: Settings, trained: Run) -> Path:
    day = settings.archive_dir / datetime.datetime.now(datetime.UTC).strftime("%Y%m%d")
    folder, number = day / trained.run_id, 1
    while folder.exists():
        number += 1
        folder = day / f"{trained.run_id}-{number}"
    return folder


def _about(trained: Run, inputs: str, absent: list[str]) -> JsonObject:
    return {
        "format": FORMAT,
        "run_id": trained.run_id,
        "key": trained.key,
        "preset": trained.preset,
        "made": {**who_and_when()},
        "inputs": inputs,
        "absent": [*absent],
    }


def _write(folder: Path, sources: Mapping[str, Path], texts: Mapping[str, str], about: JsonObject) -> None:
    with atomic_folder(folder) as temporary:
        for name, path in sources.items():
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        for name, text in texts.items():
            write_text(temporary / name, text)
        write_json(temporary / ABOUT, about)
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        sums = [f"{sha256_file(path)}  {path.relative_to(temporary).as_posix()}\n" for path in files]
        write_text(temporary / SUMS, "".join(sums))

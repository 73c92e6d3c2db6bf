"""What a later reader needs of a run, in one folder that does not change: `reports/archive/YYYYMMDD/<run id>/`.

    run/          config, environment, thresholds, final metrics; history as JSON lines and as CSV
    gate.json     the gate record
    dataset/      the indexes (shards, counts, digests) and the catalog's summary
    health/       the health report
    evaluation/   every evaluation: metrics, report, confusions, the most confident mistakes
    model/        card and checksums of the versions that came of it
    archive.json  what this is, and what was not there to be archived
    SHA256SUMS    of all files: `sha256sum -c SHA256SUMS`

No audio, no weights. Nothing is made for the archive: a catalog that was made anew has lost its audio inventory, and
the archive says that it is absent. Archiving the same again finds the folder that is there; if anything has changed
since, another folder is made beside it.
"""

import csv
import datetime
import glob
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beatsight_core.dataset.index import index_paths
from beatsight_core.errors import ModelError
from beatsight_core.evaluation.lookup import CHECKSUMS, VERSION, version_folder
from beatsight_core.evaluation.report import CONFUSION, CONFUSION_MATRIX, METRICS, MISTAKES, PAGE
from beatsight_core.files import (
    atomic_folder,
    digest_json,
    exclusive_lock,
    file_name,
    is_temporary,
    read_json,
    remove_leftovers,
    sha256_file,
    write_json,
    write_text,
)
from beatsight_core.promotion.bundle import CARD, versions
from beatsight_core.promotion.record import RECORD, who_and_when
from beatsight_core.promotion.registry import champion
from beatsight_core.settings import Settings
from beatsight_core.training import records
from beatsight_core.training.records import Run, open_run

FORMAT = 1
ABOUT, SUMS = "archive.json", "SHA256SUMS"

_RUN_FILES = (records.CONFIG, records.ENVIRONMENT, records.THRESHOLDS, records.METRICS, records.HISTORY)
_EVALUATION_FILES = (METRICS, PAGE, CONFUSION, CONFUSION_MATRIX, MISTAKES)
_HEALTH_FILES = ("report.json", "report.html")
_CATALOG_FILES = ("summary.json", "inventory.json")
_NO_INVENTORY = "never built, or the catalog was made anew since; `beatsight health` builds it"


@dataclass(frozen=True, slots=True)
class ArchiveResult:
    """An archived run.

    Attributes:
        run_id: The run.
        folder: Where its archive lies.
        files: How many it has.
        bytes: Their size.
        absent: What was not there to be archived.
        reused: Whether this very state had been archived before.
    """

    run_id: str
    folder: Path
    files: int
    bytes: int
    absent: tuple[str, ...]
    reused: bool

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-safe."""
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "files": self.files,
            "bytes": self.bytes,
            "absent": list(self.absent),
            "reused": self.reused,
        }


def archive_run(settings: Settings, run: str | None = None) -> ArchiveResult:
    """Archive a run with everything that led to it.

    Args:
        settings: Paths.
        run: A run's id, a beginning of one, or "latest"; by default the champion's.

    Raises:
        ModelError: There is no such run, or no champion whose run could be meant.
        StorageError: The drive refused; nothing half-made is left.
    """
    trained = open_run(settings, run if run is not None else _champions_run(settings))
    with exclusive_lock(settings.archive_dir / ".lock"):
        sources, absent = _sources(settings, trained)
        inputs = digest_json({name: sha256_file(path) for name, path in sources.items()})
        folder = _archived_before(settings, trained, inputs)
        reused = folder is not None
        if folder is None:
            folder = _free_folder(settings, trained)
            _write(folder, trained, sources, {"inputs": inputs, "absent": absent})
    files = [path for path in folder.rglob("*") if path.is_file()]
    return ArchiveResult(
        trained.run_id, folder, len(files), sum(path.stat().st_size for path in files), tuple(absent), reused
    )


def history_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """A run's epochs as a table; tables within a record become columns such as `f1.kick`."""
    rows = [dict(_flat(record)) for record in history]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _champions_run(settings: Settings) -> str:
    now = champion(settings)
    if now is None:
        raise ModelError("There is no champion to archive", where=settings.models_dir, do="name a run, or promote one")
    return str(read_json(version_folder(settings, now.version) / VERSION)["run_id"])


def _sources(settings: Settings, trained: Run) -> tuple[dict[str, Path], list[str]]:
    """Place in the archive -> file, of all that is there; and what is not."""
    catalog, health = settings.catalog_dir / trained.key, settings.health_dir / file_name(trained.key)
    wanted = {f"run/{name}": trained.folder / name for name in _RUN_FILES}
    wanted["gate.json"] = trained.folder / RECORD
    wanted |= {f"dataset/catalog/{name}": catalog / name for name in _CATALOG_FILES}
    wanted |= {f"health/{name}": health / name for name in _HEALTH_FILES}
    indexes = index_paths(settings, trained.key)
    wanted |= {f"dataset/{path.name}": path for path in indexes}
    evaluations = sorted(path.parent for path in (settings.metrics_dir / trained.run_id).glob(f"*/{METRICS}"))
    wanted |= {
        f"evaluation/{folder.name}/{name}": folder / name for folder in evaluations for name in _EVALUATION_FILES
    }
    for version in versions(settings):
        folder = version_folder(settings, version)
        if read_json(folder / VERSION)["run_id"] == trained.run_id:
            wanted |= {f"model/{version}/{name}": folder / name for name in (CARD, VERSION, CHECKSUMS)}
    absent = [
        f"{name} ({_NO_INVENTORY})" if path.name == "inventory.json" else name
        for name, path in wanted.items()
        if not path.is_file()
    ]
    absent += [] if indexes else ["dataset indexes"]
    absent += [] if evaluations else ["evaluations"]
    return {name: path for name, path in wanted.items() if path.is_file()}, absent


def _archived_before(settings: Settings, trained: Run, inputs: str) -> Path | None:
    """An archive of this run that was made from the same files and is whole."""
    for day in settings.archive_dir.glob("*/"):
        remove_leftovers(day)
    for about in sorted(settings.archive_dir.glob(f"*/{glob.escape(trained.run_id)}*/{ABOUT}")):
        if is_temporary(about.parent):
            continue
        value = read_json(about)
        if value["run_id"] == trained.run_id and value["inputs"] == inputs and not altered_files(about.parent):
            return about.parent
    return None


def altered_files(folder: Path) -> list[str]:
    """Files of an archive that are missing or differ from its `SHA256SUMS`."""
    sums = folder / SUMS
    if not sums.is_file():
        return [SUMS]
    lines = [line.split("  ", 1) for line in sums.read_text(encoding="utf-8").splitlines()]
    return [name for digest, name in lines if not (folder / name).is_file() or sha256_file(folder / name) != digest]


def _free_folder(settings: Settings, trained: Run) -> Path:
    day = settings.archive_dir / datetime.datetime.now(datetime.UTC).strftime("%Y%m%d")
    folder, number = day / trained.run_id, 1
    while folder.exists():
        number += 1
        folder = day / f"{trained.run_id}-{number}"
    return folder


def _write(folder: Path, trained: Run, sources: Mapping[str, Path], about: Mapping[str, Any]) -> None:
    with atomic_folder(folder) as temporary:
        for name, path in sources.items():
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        if trained.history:
            write_text(temporary / "run" / "history.csv", history_csv(trained.history))
        write_json(
            temporary / ABOUT,
            {
                "format": FORMAT,
                "run_id": trained.run_id,
                "key": trained.key,
                "preset": trained.preset,
                "made": who_and_when(),
                **about,
            },
        )
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        sums = [f"{sha256_file(path)}  {path.relative_to(temporary).as_posix()}\n" for path in files]
        write_text(temporary / SUMS, "".join(sums))

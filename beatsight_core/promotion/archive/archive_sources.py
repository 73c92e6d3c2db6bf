"""What belongs into the archive of a run: files that are there, as they are, and a few texts made of them."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.audio.inventory_figures import INVENTORY
from beatsight_core.dataset.index import index_paths
from beatsight_core.errors import BeatSightError
from beatsight_core.evaluation.evaluate import CONFUSION, CONFUSION_MATRIX, METRICS, MISTAKES, PAGE, PREDICTIONS
from beatsight_core.evaluation.folder import CONFUSION_PICTURE, LABEL_ERRORS
from beatsight_core.gates.record import BASELINE_FILE, HEALTH_REPORT, PROMOTION_RECORD
from beatsight_core.leftovers import is_temporary
from beatsight_core.manifest.identity import SUMMARY
from beatsight_core.names import place_in
from beatsight_core.promotion.external.status_pages import written_sections
from beatsight_core.promotion.judge import is_version_of
from beatsight_core.promotion.version.write_version import CARD, INFRASTRUCTURE, about_version, versions
from beatsight_core.runs import records
from beatsight_core.runs.lookup import CHECKSUMS, VERSION, version_folder
from beatsight_core.runs.overrides import OVERRIDES
from beatsight_core.runs.records import Run
from beatsight_core.runs.roles import read_pointer
from beatsight_core.safe_text import csv_row
from beatsight_core.settings import Settings
from beatsight_core.training.tracking.mirror import flat_numbers
from beatsight_core.training.tracking.tracking import read_tracking

_RUN_FILES = (
    records.CONFIG, records.ENVIRONMENT, records.THRESHOLDS, records.METRICS, records.HISTORY, records.CURVES,
)  # fmt: skip
_EVALUATION_FILES = (METRICS, PAGE, CONFUSION, CONFUSION_MATRIX, CONFUSION_PICTURE, MISTAKES, LABEL_ERRORS)
_HEALTH_FILES = (str(HEALTH_REPORT.file), str(HEALTH_REPORT.file.with_suffix(".html")))
_CATALOG_FILES = (SUMMARY, INVENTORY)
_LEFT_OUT = {PREDICTIONS}
"""Of an evaluation: one row per hit, as large as a dataset's table, and made again from the checkpoint."""
_WHY_ABSENT = {
    "dataset/catalog/inventory.json": "never built, or the catalog was made anew since; `beatsight health` builds it",
    f"run/{records.TRACKING}": "it was not tracked",
}


def found_files(settings: Settings, trained: Run) -> tuple[dict[str, Path], list[str]]:
    """Place in the archive -> file, of all that is there; and what is not, with the reason where it is known."""
    catalog, health = settings.catalog_folder(trained.key), place_in(settings.health_dir, trained.key)
    wanted = {f"run/{name}": trained.folder / name for name in (*_RUN_FILES, records.TRACKING)}
    wanted |= {f"run/{OVERRIDES}": trained.folder / OVERRIDES} if (trained.folder / OVERRIDES).is_file() else {}
    wanted["gate.json"] = trained.folder / PROMOTION_RECORD.file
    wanted |= {f"gates/{path.name}": path for path in _whole(trained.folder / PROMOTION_RECORD.file.parent, "*.json")}
    wanted |= {f"dataset/catalog/{name}": catalog / name for name in _CATALOG_FILES}
    wanted |= {f"health/{name}": health / name for name in _HEALTH_FILES}
    wanted |= {f"health/{path.name}": path for path in _whole(health, "*.jsonl")}
    blessed = settings.health_dir / BASELINE_FILE
    wanted |= {"health/baseline.json": blessed} if blessed.is_file() else {}
    indexes = index_paths(settings, trained.key)
    wanted |= {f"dataset/{path.name}": path for path in indexes}
    evaluations = sorted(path.parent for path in (settings.metrics_dir / trained.run_id).glob(f"*/{METRICS}"))
    for folder in evaluations:
        names = [*_EVALUATION_FILES, *(path.name for path in _whole(folder, "*") if path.name not in _LEFT_OUT)]
        wanted |= {f"evaluation/{folder.name}/{name}": folder / name for name in names}
    wanted |= _of_versions(settings, trained)
    absent = [
        f"{name} ({_WHY_ABSENT[name]})" if name in _WHY_ABSENT else name
        for name, path in wanted.items()
        if not path.is_file()
    ]
    absent += [] if indexes else ["dataset indexes"]
    absent += [] if evaluations else ["evaluations"]
    return {name: path for name, path in wanted.items() if path.is_file()}, absent


def made_texts(settings: Settings, trained: Run) -> dict[str, str]:
    """Place in the archive -> text: the history as CSV, what W&B shows, and what the status pages say of the run."""
    texts = {}
    if trained.history:
        texts["run/history.csv"] = history_csv(trained.history)
    if tracking := read_tracking(trained.folder):
        shown = {"tracking": tracking, "summary": wandb_summary(trained)}
        texts["run/wandb_summary.json"] = orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode() + "\n"
    standing = read_pointer(settings)
    if standing is not None and standing.since["run_id"] == trained.run_id:
        texts |= {f"status/{name}": text for name, text in _sections(settings).items()}
    return texts


def wandb_summary(trained: Run) -> dict[str, float]:
    """What W&B shows as the summary of a run: the last value of each figure, and those of the finished run."""
    last = flat_numbers(trained.history[-1]) if trained.history else {}
    return last | flat_numbers((trained.metrics or {}).get("metrics", {}))


def history_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """A run's epochs as a table; tables within a record become columns such as `f1.kick`."""
    rows = [dict(_flat(record)) for record in history]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(csv_row(columns))
    writer.writerows(csv_row(row.get(column, "") for column in columns) for row in rows)
    return text.getvalue()


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _of_versions(settings: Settings, trained: Run) -> dict[str, Path]:
    wanted: dict[str, Path] = {}
    for version in versions(settings):
        folder = version_folder(settings, version)
        about = about_version(settings, version)
        if about and (about["run_id"] == trained.run_id or is_version_of(settings, version, trained)):
            names = (CARD, VERSION, CHECKSUMS, *([INFRASTRUCTURE] if (folder / INFRASTRUCTURE).is_file() else []))
            wanted |= {f"model/{version}/{name}": folder / name for name in names}
    return wanted


def _whole(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that are not being written."""
    return sorted(path for path in folder.glob(pattern) if path.is_file() and not is_temporary(path))


def _sections(settings: Settings) -> dict[str, str]:
    """What the status pages say; a page that lost its markers says nothing, and is told of when it is written."""
    try:
        return written_sections(settings)
    except BeatSightError:
        return {}

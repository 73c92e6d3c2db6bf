"""What the index lists: manifests, runs, versions and archives with the addresses of their reports.

All of it is read from small files, and nothing is written. What cannot be read is listed with its problem, and hides
nothing else.
"""

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import BeatSightError
from beatsight_core.evaluation.folder import METRICS as EVALUATION
from beatsight_core.evaluation.folder import PAGE as EVALUATION_PAGE
from beatsight_core.evaluation.folder import find_evaluation
from beatsight_core.files import read_json
from beatsight_core.manifest.catalog import list_catalogs
from beatsight_core.manifest.inbox.entries import inbox_entries
from beatsight_core.promotion.archive.check_archive import archive_folders
from beatsight_core.promotion.version.model_list import list_models
from beatsight_core.report_addresses import report_address
from beatsight_core.runs.records import Run, how_to_finish, list_runs
from beatsight_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a page.

    Attributes:
        text: Text that is shown.
        href: Address without a host; None where there is nothing to open.
    """

    text: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run of the index.

    Attributes:
        run: Id of the run, with its evaluation on its own validation split.
        preset: Name of the preset.
        manifest: Key of the manifest.
        state: State of the run: "pass", "warn" or "fail".
        said: State in words.
        accuracy: Accuracy on the validation split; None before it is known.
        exact_match: Share of hits whose set of components was predicted exactly.
        evaluations: Other evaluations of the run.
        next: Command or sentence that says what to do next.
    """

    run: Link
    preset: str
    manifest: str
    state: str
    said: str
    accuracy: float | None
    exact_match: float | None
    evaluations: tuple[Link, ...]
    next: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of the index.

    Attributes:
        version: Number of the version.
        role: Role of the version, as "champion".
        run: Id of the run, with its evaluation.
        accuracy: Accuracy when it was promoted.
        exact_match: Share of hits whose set of components was predicted exactly.
        promoted: Day and person of the promotion.
        notice: Text that every reader of the model must see.
    """

    version: int
    role: str
    run: Link
    accuracy: float | None
    exact_match: float | None
    promoted: str
    notice: str


@dataclass(frozen=True, slots=True)
class ArchiveRow:
    """An archive of the index.

    Attributes:
        day: Day of the archive.
        run: Id of the run.
        reports: Reports in the archive.
    """

    day: str
    run: str
    reports: tuple[Link, ...]


def refused_files(settings: Settings) -> list[tuple[str, str]]:
    """Return the files of the inbox that cannot be taken up, each with the reason."""
    return [(entry.path.name, entry.problem) for entry in inbox_entries(settings) if entry.problem]


def manifest_keys(settings: Settings) -> list[str]:
    """Return the keys of all manifests that have a catalog."""
    return [catalog.key for catalog in list_catalogs(settings)]


def run_rows(settings: Settings) -> list[RunRow]:
    """Return the runs, the one worked on last first."""
    return [_run_row(settings, run) for run in list_runs(settings)]


def _run_row(settings: Settings, run: Run) -> RunRow:
    states = {"finished": "pass", "unfinished": "warn", "failed": "fail"}
    try:
        figures = (run.metrics or {}).get("metrics", {})
        own = find_evaluation(settings, run) if figures else None
        if run.status != "finished":
            said, do = f"{run.status}, epoch {len(run.history)} of {run.config.epochs}", how_to_finish(run)
        else:
            said = f"finished, {len(run.history)} epochs"
            do = f"beatsight judge {run.run_id}" if own else f"beatsight evaluate {run.run_id}"
    except BeatSightError as error:
        return RunRow(Link(run.run_id), run.preset, run.key, "fail", "broken", None, None, (), str(error))
    others = tuple(
        Link(name, report_address(settings, page)) for name, page in _evaluations(settings, run) if page.parent != own
    )
    address = report_address(settings, own / EVALUATION_PAGE) if own else None
    return RunRow(
        Link(run.run_id, address), run.preset, run.key, states[run.status], said, figures.get("accuracy"),
        figures.get("exact_match"), others, do,
    )  # fmt: skip


def _evaluations(settings: Settings, run: Run) -> Iterator[tuple[str, Path]]:
    """The evaluations of a run: what each was made on, and its page."""
    for page in sorted((settings.metrics_dir / run.run_id).glob(f"*/{EVALUATION_PAGE}")):
        try:
            about = read_json(page.with_name(EVALUATION))
            name = f"{about['on']}, {about['split']}" if about["on"] != run.key else str(about["split"])
            if about["fraction"]:
                name += f" {about['fraction']:g}"
        except (BeatSightError, KeyError, TypeError, ValueError):
            name = page.parent.name
        yield name, page


def version_rows(settings: Settings) -> list[VersionRow]:
    """Return the versions, the newest first.

    Raises:
        ModelError: The pointer to the champion is broken.
    """
    evaluations = {row.run.text: row.run.href for row in run_rows(settings)}
    return [
        VersionRow(
            model.version, model.role, Link(model.run_id or "", evaluations.get(model.run_id or "")), model.accuracy,
            model.exact_match, ", ".join(filter(None, (str(model.promoted_at or "")[:10], model.promoted_by))),
            model.notice or "",
        )
        for model in list_models(settings).models
    ]  # fmt: skip


def archive_rows(settings: Settings) -> list[ArchiveRow]:
    """Return the archives, the newest day first."""
    return [
        ArchiveRow(_day(folder.parent.name), folder.name, tuple(_archived(settings, folder)))
        for folder in reversed(archive_folders(settings))
    ]


def _archived(settings: Settings, folder: Path) -> Iterator[Link]:
    for page in sorted(folder.rglob("*.html")):
        yield Link(page.relative_to(folder).as_posix(), report_address(settings, page))


def _day(name: str) -> str:
    try:
        return datetime.datetime.strptime(name, "%Y%m%d").date().isoformat()
    except ValueError:
        return name


def health_verdict(settings: Settings, key: str) -> tuple[str, str, str | None]:
    """Return the health of a manifest.

    Returns:
        State ("pass", "fail" or "info"), words, and the address of the report; None where there is none.
    """
    from beatsight_core.names import place_in

    report = place_in(settings.health_dir, key) / "report.json"
    try:
        said = json.loads(report.read_bytes())
        gates = said["gates"]
        failed = sum(not gate["passed"] for gate in gates)
    except FileNotFoundError:
        return "info", "not judged yet", None
    except (OSError, ValueError, KeyError, TypeError):
        return "fail", "its report cannot be read", None
    address = report_address(settings, report.with_suffix(".html"))
    return ("fail" if failed else "pass"), f"{failed} of {len(gates)} gates failed" if failed else "passed", address

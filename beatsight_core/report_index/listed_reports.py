"""What the index lists beside manifests: runs, versions and archives, with the addresses of their reports.

All of it is read from small files, and nothing is written. What cannot be read is listed with its problem, and hides
nothing else.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import BeatSightError
from beatsight_core.evaluation.finding import METRICS as EVALUATION
from beatsight_core.evaluation.finding import find_evaluation
from beatsight_core.evaluation.folder import PAGE as EVALUATION_PAGE
from beatsight_core.files import read_json
from beatsight_core.promotion.archive.archive_folders import archive_folders
from beatsight_core.promotion.version.model_list import list_models
from beatsight_core.report_addresses import report_address
from beatsight_core.runs.records import Run, how_to_finish, list_runs, open_run
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


def run_rows(settings: Settings, versions: Sequence["VersionRow"]) -> list[RunRow]:
    """Return the runs, the one worked on last first.

    Args:
        settings: Settings of the data root.
        versions: Versions, which name the runs that were promoted.
    """
    promoted = {row.run.text: row.version for row in reversed(versions)}
    return [_run_row(settings, run, promoted.get(run.run_id)) for run in list_runs(settings)]


def _run_row(settings: Settings, run: Run, version: int | None) -> RunRow:
    states = {"finished": "pass", "unfinished": "warn", "failed": "fail"}
    try:
        figures = (run.metrics or {}).get("metrics", {})
        own = find_evaluation(settings, run) if figures else None
        if run.status != "finished":
            said, do = f"{run.status}, epoch {len(run.history)} of {run.config.epochs}", how_to_finish(run)
        else:
            said = f"finished, {len(run.history)} epochs"
            do = f"beatsight judge {run.run_id}" if own else f"beatsight evaluate {run.run_id}"
            if version is not None:
                said, do = f"promoted as version {version}", ""
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
    return [
        VersionRow(
            model.version, model.role, _evaluated(settings, model.run_id), model.accuracy,
            model.exact_match, ", ".join(filter(None, (str(model.promoted_at or "")[:10], model.promoted_by))),
            model.notice or "",
        )
        for model in list_models(settings).models
    ]  # fmt: skip


def _evaluated(settings: Settings, run_id: str | None) -> Link:
    """The id of a run, with its evaluation if both are still there."""
    try:
        own = find_evaluation(settings, open_run(settings, run_id)) if run_id else None
    except BeatSightError:
        own = None
    return Link(run_id or "", report_address(settings, own / EVALUATION_PAGE) if own else None)


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

"""CURRENT_STATUS.md and NEXT_STEPS.md: a dated section between two markers says which model is in use and what is next.

Settings name the pages (`release.current_status`, `release.next_steps`). All bytes outside the markers stay as they
are; a page without them, or with several, is an error, as nobody can know then what is the writer's own.
"""

import os
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from beatsight_core.errors import ModelError, SettingsError
from beatsight_core.evaluation.evaluate import PAGE, read_evaluation
from beatsight_core.files import read_json
from beatsight_core.promotion.champion_comparison import protected_label
from beatsight_core.promotion.external.edit_file import FileChange, allowed_file, read_whole, require_writable
from beatsight_core.promotion.version.model_card import warning, weaknesses
from beatsight_core.promotion.version.write_version import CARD, GATE, INFRASTRUCTURE
from beatsight_core.runs.lookup import VERSION, verified_version, version_folder
from beatsight_core.runs.roles import Champion
from beatsight_core.safe_text import for_markdown, for_shell
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import PROTECTED

BEGIN = "<!-- beatsight: begin, written anew at each change of champion -->"
END = "<!-- beatsight: end -->"

PAGES = ("current_status", "next_steps")
"""The settings that name pages."""

_FIGURES = (
    ("accuracy", "accuracy"), ("exact_match", "exact match"), ("macro_f1", "macro-F1"), ("loss", "loss"),
    ("hits", "validation hits"),
)  # fmt: skip
_NEAR = 3
"""Criteria nearest to their limits that are named."""
_REMARK = {
    True: "",
    False: "\n\nThe two were measured on different datasets.",
    None: "\n\nThe files of the version before are damaged or gone.",
}
"""Below the figures, by whether both versions were measured on the same dataset; None if nobody can tell."""


@dataclass(frozen=True, slots=True)
class PageUpdate:
    """What the section of a page is, and is to become.

    Attributes:
        setting: Setting that names the page, "current_status" or "next_steps".
        now: Bytes between its markers.
        wanted: Bytes that are to be there.
        change: Change of the whole file.
    """

    setting: str
    now: bytes
    wanted: bytes
    change: FileChange


def page_updates(settings: Settings, champion: Champion, only: Container[str] = PAGES) -> list[PageUpdate]:
    """Return what the pages are to become. Changes nothing.

    Args:
        settings: Settings that name the pages.
        champion: Champion with the history that led there.
        only: Settings that name the pages that are looked at.

    Raises:
        SettingsError: A page is missing, lies outside, or lacks its markers.
        DatasetError: A version's files are gone.
    """
    written = {"current_status": _current_status, "next_steps": _next_steps}
    updates = []
    for setting, path, data in _pages(settings):
        if setting in only:
            start, stop = _places(data, path)
            section = _section(data[start : start + 2], "\n\n".join(written[setting](settings, path.parent, champion)))
            change = FileChange(path, data, data[:start] + section + data[stop:])
            updates.append(PageUpdate(setting, data[start:stop], section, change))
    return updates


def check_pages(settings: Settings) -> None:
    """Make sure that the pages can be written, before anything is changed.

    Raises:
        SettingsError: A page is missing, lies outside, may not be written, or lacks its markers.
    """
    for _, path, data in _pages(settings):
        require_writable(FileChange(path, data, _between_markers(data, path, "")))


def written_sections(settings: Settings) -> dict[str, str]:
    """Return by name of page what stands between its markers.

    Raises:
        SettingsError: A page cannot be read, or its markers are not a pair.
    """
    sections = {}
    for setting, path, data in _pages(settings):
        start, stop = _places(data, path)
        name = {"current_status": "CURRENT_STATUS.md", "next_steps": "NEXT_STEPS.md"}[setting]
        sections[name] = data[start:stop].decode("utf-8", "replace").strip() + "\n"
    return sections


def _pages(settings: Settings) -> Iterator[tuple[str, Path, bytes]]:
    seen: set[Path] = set()
    for setting in PAGES:
        named: Path | None = getattr(settings.release, setting)
        if named is not None:
            path = allowed_file(settings, named, f"release.{setting}")
            if path in seen:
                raise SettingsError(
                    "release.current_status and release.next_steps name the same page",
                    where=path,
                    why="each writes a section of its own between the same two marks",
                    do="name two pages, or take one setting out",
                )
            seen.add(path)
            yield setting, path, read_whole(path)


def _between_markers(data: bytes, path: Path, text: str) -> bytes:
    start, stop = _places(data, path)
    return data[:start] + _section(data[start : start + 2], text) + data[stop:]


def _section(begins: bytes, text: str) -> bytes:
    """A section as bytes, its lines ended as the page's are, by which it begins."""
    return f"\n{text}\n".replace("\n", "\r\n" if begins == b"\r\n" else "\n").encode()


def _places(data: bytes, path: Path) -> tuple[int, int]:
    """Where the section of a page begins and ends."""
    begin, end = BEGIN.encode(), END.encode()
    start, stop = data.find(begin) + len(begin), data.find(end)
    if data.count(begin) != 1 or data.count(end) != 1 or stop < start:
        raise SettingsError(
            f"A page has {data.count(begin)} marks that begin its section and {data.count(end)} that end it",
            where=path,
            why="only what stands between one of each is written, so that the rest stays yours",
            do=f"put these two lines where the section is to be: {BEGIN} and {END}",
        )
    return start, stop


def _current_status(settings: Settings, folder: Path, champion: Champion) -> Iterator[str]:
    since, about = champion.since, _about(settings, champion.version)
    done = {"promote": "Promoted", "rollback": "Rolled back"}.get(since["action"], since["action"])
    yield f"## {since['at'][:10]}: version {champion.version} is in use"
    by, why, run = (for_markdown(said) for said in (since["by"], since["why"], about["run_id"]))
    yield f"{done} by {by} at {since['at']}: {why}. Run {run}."
    for notice in filter(None, (since["notice"], since["forced"] and f"promoted by force: {since['forced']}")):
        yield warning(notice)
    yield _figures(settings, champion)
    yield "\n".join(f"- [{title}]({_link(path, folder)})" for title, path in _artefacts(settings, champion.version))


def _next_steps(settings: Settings, folder: Path, champion: Champion) -> Iterator[str]:
    version = version_folder(settings, champion.version)
    rows = read_json(version / GATE)["criteria"]
    yield f"## {champion.since['at'][:10]}: after version {champion.version}"
    lines = weaknesses(read_evaluation(version))
    lines += [
        f"- Not met, and promoted all the same: {for_markdown(row['title'])} ({for_markdown(row['message'])})."
        for row in rows
        if not row["passed"]
    ]
    if near := _nearest(rows):
        lines.append(f"- Nearest to their limits: {near}.")
    if champion.since["action"] == "rollback":
        back, why = int(champion.history[-2]["version"]), for_markdown(champion.since["why"])
        lines.append(
            f"- Find out why version {back} was taken back ({why}). It is kept: `beatsight rollback {back}` makes it "
            "champion again."
        )
    command = _command(f"beatsight archive {for_shell(champion.since['run_id'])}")
    lines.append(f"- Keep what led here: {command}.")
    if champion.previous is not None:
        lines.append(f'- The way back to version {champion.previous}: `beatsight rollback --why "..."`.')
    lines.append(f"- Details: [model card]({_link(version / CARD, folder)}).")
    yield "\n".join(lines)


def _figures(settings: Settings, champion: Champion) -> str:
    """The champion's figures beside those of the champion before it."""
    ours = _measured(settings, champion.version)
    before = int(champion.history[-2]["version"]) if len(champion.history) > 1 else None
    if before is None:
        return _table(
            ["figure", f"version {champion.version}"], ([name, _shown(value)] for name, value in ours.items())
        )
    try:
        verified_version(settings, before)
    except ModelError:  # it may be what a rollback is from, and for that very reason
        theirs, same_data = {}, None
    else:
        theirs = _measured(settings, before)
        same_data = _dataset(settings, champion.version) == _dataset(settings, before)
    rows = [
        [name, _shown(value), _shown(theirs.get(name)), _change(value, theirs.get(name))]
        for name, value in ours.items()
    ]
    table = _table(["figure", f"version {champion.version}", f"version {before}, before", "change"], rows)
    return table + _REMARK[same_data]


def _dataset(settings: Settings, version: int) -> str | None:
    digest: str | None = _about(settings, version)["digests"].get("dataset")
    return digest


def _measured(settings: Settings, version: int) -> dict[str, float | None]:
    metrics = read_evaluation(version_folder(settings, version)).metrics
    figures: dict[str, float | None] = {title: getattr(metrics, name) for name, title in _FIGURES}
    for name in PROTECTED:
        label = protected_label(name, metrics.per_class)
        figures[f"F1 of {name}"] = metrics.per_class[label].f1 if label else None
    return figures


def _artefacts(settings: Settings, version: int) -> Iterator[tuple[str, Path]]:
    folder = version_folder(settings, version)
    record = read_json(folder / GATE)
    named = (
        ("model card", folder / CARD),
        ("gate record", folder / GATE),
        ("checks of its files", folder / INFRASTRUCTURE),
        ("evaluation", settings.metrics_dir / record["run_id"] / record["evaluation_id"] / PAGE),
        ("run", settings.run_root / record["run_id"]),
    )
    yield from ((title, path) for title, path in named if path.exists())


def _nearest(rows: Iterable[Mapping[str, Any]]) -> str:
    """Met criteria with the least margin, by their share of the limit."""
    figures = [
        row for row in rows if row["passed"] and row["limit"] and row["margin"] is not None and row["limit"] > 0.01
    ]
    nearest = sorted(figures, key=lambda row: row["margin"] / row["limit"])[:_NEAR]
    return ", ".join(
        f"{for_markdown(row['title'])} {row['value']:.4g} ({row['sign']} {row['limit']:g})" for row in nearest
    )


def _about(settings: Settings, version: int) -> dict[str, Any]:
    about: dict[str, Any] = read_json(version_folder(settings, version) / VERSION)
    return about


def _command(words: str) -> str:
    """A command as code, where a backslash is a backslash: what ends code, or a line, cannot stand in it."""
    return f"`{' '.join(words.replace('`', '').split())}`"


def _link(path: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _change(value: float | None, before: float | None) -> str:
    if value is None or before is None:
        return "–"
    return f"{value - before:+,}" if isinstance(value, int) else f"{value - before:+.4f}"

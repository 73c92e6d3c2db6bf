"""The audio that an inventory did not find, in words for terminals and the web UI: what, where, and what helps."""

import os
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.audio.inventory_figures import INVENTORY, AudioFigures, LostFile
from beatsight_core.audio.roots import RootStatus
from beatsight_core.errors import BeatSightError
from beatsight_core.files import digest_json, read_json
from beatsight_core.manifest.catalog import open_catalog
from beatsight_core.safe_text import for_terminal
from beatsight_core.settings import Settings
from beatsight_core.settings.layout import SETTINGS_FILE
from beatsight_core.typed_json import from_json

MOST_NAMED = 3
"""Missing files that a paragraph names."""


def roots_of(settings: Settings, source_sets: Iterable[str]) -> dict[str, list[str]]:
    """Return the roots of some source sets, in lookup order."""
    return {name: [str(root) for root in settings.source(name).roots] for name in sorted(set(source_sets))}


def is_there(root: str | Path) -> bool:
    """Return whether a root is a folder with something in it. An unmounted drive leaves an empty folder, or none."""
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def sources_without_root(inventory: AudioFigures) -> dict[str, list[str]]:
    """Return the source sets of which an inventory found no root mounted, and the roots of each."""
    roots: dict[str, list[RootStatus]] = {}
    for root in inventory.roots:
        roots.setdefault(root.source_set, []).append(root)
    return {
        name: [str(root.root) for root in mine]
        for name, mine in sorted(roots.items())
        if not any(root.mounted for root in mine)
    }


def describe_absence(inventory: AudioFigures, settings: Settings, *, short: bool = False) -> str | None:
    """Say in one paragraph what audio an inventory did not find, where it was looked for, and what to do.

    Args:
        inventory: Figures of the inventory.
        settings: Settings that the roots came from.
        short: True to leave out the counts, for a message that has them already.

    Returns:
        None if all audio was found.
    """
    gone = sources_without_root(inventory)
    lost = inventory.lost_events
    if not gone and not lost:
        return None
    parts = [f"No root of {', '.join(gone)} is mounted."] if gone else []
    if lost and not short:
        parts.append(f"{lost:,} of {inventory.events:,} events are without usable audio{_examples(inventory)}.")
    searched = "; ".join(f"{name}: {', '.join(roots)}" for name, roots in _searched(inventory, gone).items())
    parts += [f"Looked in: {searched}.", f"What to do: {_remedy(gone, settings)}."]
    if not short:
        parts.append("A manifest of the inbox is then prepared by itself; anything else is started again by hand.")
    return for_terminal(" ".join(parts))


def absent_and_back(settings: Settings, key: str, usable: Container[str] | None = None) -> str | None:
    """Return a digest of the files that the last inventory missed, if every one of them is there now.

    Copying files into a root that was mounted all along is no drive that comes back, and yet the reason is gone.

    Args:
        settings: Layout of the data root, and the roots.
        key: Key of the manifest.
        usable: Roots that answer, where some may not; default: all of the settings.

    Returns:
        None if some are still missing, if none was, or if there is no inventory.
    """
    missing = [file for file in _last_search(settings, key).lost_files if file.status == "missing"]
    if not missing:
        return None
    for file in missing:
        roots = [root for root in settings.source(file.source_set).roots if usable is None or str(root) in usable]
        if not any(_exists(root / file.audio_path) for root in roots):
            return None
    return digest_json([[file.source_set, file.audio_path] for file in missing])


def found_unmounted(settings: Settings, key: str) -> set[str]:
    """Return the roots that the last inventory of a manifest found unmounted."""
    return {str(root.root) for root in _last_search(settings, key).roots if not root.mounted}


def known_sources(settings: Settings, key: str) -> set[str]:
    """Return the source sets whose roots a manifest needs: those of its catalog, or all configured ones before that."""
    try:
        return set(open_catalog(settings, key).source_sets)
    except (BeatSightError, OSError):
        return set(settings.sources)


@dataclass(frozen=True, slots=True)
class _Search:
    """The part of `inventory.json` that tells where audio was looked for, and what was not found."""

    roots: tuple[RootStatus, ...] = ()
    lost_files: tuple[LostFile, ...] = ()


def _last_search(settings: Settings, key: str) -> _Search:
    try:
        path = open_catalog(settings, key).folder / INVENTORY
        return from_json(_Search, read_json(path), path)
    except (BeatSightError, OSError):
        return _Search()


def _examples(inventory: AudioFigures) -> str:
    named = [f"{file.source_set}/{file.audio_path} ({file.status})" for file in inventory.lost_files]
    if not named:
        return ""
    return f", among them {', '.join(named[:MOST_NAMED])}"


def _searched(inventory: AudioFigures, gone: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The roots that matter: of the source sets without a root, else of those that lost events."""
    wanted = set(gone) or {file.source_set for file in inventory.lost_files}
    roots: dict[str, list[str]] = {}
    for root in inventory.roots:
        if root.source_set in wanted or not wanted:
            mark = "" if root.mounted else " (not mounted)"
            roots.setdefault(root.source_set, []).append(f"{root.root}{mark}")
    return roots


def _remedy(gone: Mapping[str, list[str]], settings: Settings) -> str:
    file = settings.file or settings.data_root / SETTINGS_FILE
    if gone:
        name = next(iter(gone))
        return f"connect and mount the drive, or set roots under [sources.{name}] in {file}"
    return f"put the files there, or set the roots of the source sets in {file}"


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False

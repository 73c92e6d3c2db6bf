"""The entries of the inbox: manifests, and files that look like one, with the reason why they are none.

`inbox_manifests` gives the files that can be read. Whoever waits for a file that does not come needs the others, too,
with a reason for each. One entry that cannot be looked at never hides another.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.errors import BeatSightError
from beatsight_core.files import storage_errors
from beatsight_core.manifest.identity import (
    SUFFIXES,
    inbox_manifests,
    manifest_key,
    manifest_stem,
    name_problem,
)
from beatsight_core.settings import Settings

_OTHER_FORMS = (".json", ".ndjson", ".jl")
"""Parts of a name that show that its owner takes it for a manifest, whatever it ends in."""


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """A file in the inbox that is a manifest or looks like one.

    Attributes:
        path: Path of the entry.
        problem: Reason why it cannot be taken up, and what to do; None if it can.
    """

    path: Path
    problem: str | None = None


def inbox_entries(settings: Settings) -> list[InboxEntry]:
    """Return all entries of the inbox that are manifests or look like one, by name. Hidden ones are on their way in.

    Raises:
        StorageError: The inbox itself cannot be listed.
    """
    inbox = settings.manifests_dir
    with storage_errors(inbox):
        try:
            names = sorted(os.listdir(inbox))  # noqa: PTH208 - names, and nothing asked of them yet
        except FileNotFoundError:
            return []
    return list(_entries(inbox, names))


def inbox_file(settings: Settings, key: str) -> Path | None:
    """Return the file of the inbox that has a key; None if there is none. One that cannot be read is another's."""
    for path in inbox_manifests(settings):
        with contextlib.suppress(BeatSightError, OSError):
            if key.startswith(f"{manifest_stem(path)}-") and manifest_key(path) == key:
                return path
    return None


def _entries(inbox: Path, names: list[str]) -> Iterator[InboxEntry]:
    for name in names:
        if name.startswith("."):
            continue
        path = inbox / name
        if name.endswith(SUFFIXES):
            yield InboxEntry(path, _problem_of_name(path) or _problem_of_file(path))
        elif any(form in name.casefold() for form in _OTHER_FORMS) and not name.endswith((".part", ".tmp")):
            yield InboxEntry(path, f"its name does not end in {', '.join(SUFFIXES)}; rename it")


def _problem_of_name(path: Path) -> str | None:
    problem = name_problem(path)
    return f"its {problem}; rename it" if problem else None


def _problem_of_file(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "it is a link that leads nowhere; mend the link" if path.is_symlink() else None
    except OSError as error:
        return f"it cannot be looked at ({error.strerror}); mend the link or its permissions"
    if stat.S_ISREG(mode):
        return None
    kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
    return f"it is {kind}; move it away, or put the manifest itself here"

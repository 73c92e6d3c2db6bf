"""A folder of its own for what the platform plays: no link leads elsewhere, no file of a user is replaced."""

from pathlib import Path

import orjson

from beatsight_core.errors import UsageError
from beatsight_core.files import storage_errors


def require_no_link(data_root: Path, folder: Path) -> None:
    """Refuse a folder inside the data root that a link leads to.

    Args:
        data_root: Folder of the data root; may itself be, or lie behind, a link.
        folder: Folder to write into; need not be there.

    Raises:
        UsageError: The folder, or one between it and the data root, is a link.
    """
    for place in (folder, *folder.parents):
        if place == data_root or not place.is_relative_to(data_root):
            return
        if place.is_symlink():
            raise UsageError(
                "What the platform plays is never written through a link",
                where=place,
                why=f"the link leads to {place.resolve()}, where somebody's recordings may be",
                do="remove the link; for another drive, put the whole data root there",
            )


def require_own_manifest(manifest: Path, source_set: str) -> None:
    """Refuse to write over a manifest that was not played for a source set.

    Raises:
        UsageError: A file is there whose first line is of something else.
        StorageError: The manifest cannot be read.
    """
    with storage_errors(manifest):
        try:
            with manifest.open("rb") as lines:
                first = lines.readline(1 << 20)
        except FileNotFoundError:
            return
    try:
        event = orjson.loads(first)
        own = event["source_set"] == source_set and event["is_synthetic"] is True
    except (orjson.JSONDecodeError, KeyError, TypeError):
        own = False
    if not own:
        raise UsageError(
            "There is another manifest under the name that the new one would have",
            where=manifest,
            why=f"its first line is no event that was played for the source set {source_set!r}",
            do="rename that file, or name another source set with --source-set",
        )

"""The wishes of a person about a manifest: to prepare it once more, or to forget it. The inbox sensor reads them.

A wish is a small file, `catalog/.wishes/<key>.json`, so that it can be made whether Dagster runs or not, and is still
there after a restart. A file that cannot be read counts as no wish.
"""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from beatsight_core.errors import BeatSightError
from beatsight_core.files import exclusive_lock, read_json, write_json
from beatsight_core.names import place_in
from beatsight_core.settings import Settings
from beatsight_core.typed_json import from_json, to_json


@dataclass(frozen=True, slots=True)
class Stamp:
    """The stamp of a file: it changes when the file is touched, changed or replaced.

    Attributes:
        size: Bytes of the file.
        mtime_ns: Time of its last change.
    """

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp | None":
        """Return the stamp of a file now; None if there is none."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Wish:
    """The wishes about one manifest.

    Attributes:
        key: Key of the manifest.
        retries: Number of times that it was asked to be prepared once more.
        forgotten_at: Time at which it was forgotten, in seconds since 1970; None if it never was. What Dagster
            recorded before is of no account.
        left: Stamp of its file in the inbox then: as long as it is the same, the file is not taken up. None if there
            was no file, or the manifest is wanted again.
        why: Reason that was given for forgetting it although something names it.
    """

    key: str
    retries: int = 0
    forgotten_at: float | None = None
    left: Stamp | None = None
    why: str | None = None


def wishes_dir(settings: Settings) -> Path:
    """Return the folder of all wishes."""
    return settings.catalog_dir / ".wishes"


def read_wishes(settings: Settings) -> dict[str, Wish]:
    """Return the wishes about all manifests that have any, by key."""
    found = (_read(path) for path in sorted(wishes_dir(settings).glob("*.json")))
    return {wish.key: wish for wish in found if wish is not None}


def read_wish(settings: Settings, key: str) -> Wish:
    """Return the wishes about a manifest, of which there may be none."""
    wish = _read(_file(settings, key))
    return wish if wish is not None and wish.key == key else Wish(key)


def wish_retry(settings: Settings, key: str) -> Wish:
    """Ask for a manifest to be prepared once more, also one that was forgotten.

    Raises:
        StorageError: The drive refused.
    """
    with _alone(settings):
        wish = read_wish(settings, key)
        wish = replace(wish, retries=wish.retries + 1, left=None)
        write_json(_file(settings, key), to_json(wish))
    return wish


def wish_forgotten(settings: Settings, key: str, file: Path | None, why: str | None = None) -> Wish:
    """Remember that a manifest is forgotten, and how its file in the inbox looks, so that it is not taken up again.

    Args:
        settings: Layout of the data root.
        key: Key of the manifest.
        file: File of the manifest in the inbox, if it lies there.
        why: Reason that was given, if something names the manifest.

    Raises:
        StorageError: The drive refused.
    """
    with _alone(settings):
        left = Stamp.of(file) if file else None
        wish = replace(read_wish(settings, key), forgotten_at=time.time(), left=left, why=why)
        write_json(_file(settings, key), to_json(wish))
    return wish


def _read(path: Path) -> Wish | None:
    try:
        return from_json(Wish, read_json(path), path)
    except (BeatSightError, OSError):
        return None


def _alone(settings: Settings) -> AbstractContextManager[None]:
    return exclusive_lock(wishes_dir(settings) / ".lock")


def _file(settings: Settings, key: str) -> Path:
    return place_in(wishes_dir(settings), key, ".json")

"""Forgetting a manifest: its catalogs, its dataset's indexes and its page. Shards stay until they are pruned.

Reports, runs, versions and archives stay: they are history, and hold copies of what they say. But a run cannot be
evaluated or continued without the dataset that it learned from, so a manifest that a run or a version names is only
forgotten for a reason that is given in words. The file in the inbox stays where it is unless asked otherwise; a mark in
`catalog/.wishes` keeps the sensor from taking it up again. Dagster's partition is the business of `beatsight_dagster`.
"""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from beatsight_core.audio.inventory_figures import INVENTORY, INVENTORY_FILES
from beatsight_core.dataset.in_use import shards_at_rest
from beatsight_core.dataset.index import index_paths
from beatsight_core.dataset.page.dataset_page import page_paths
from beatsight_core.errors import UsageError
from beatsight_core.files import exclusive_lock, storage_errors
from beatsight_core.leftovers import temporary_path
from beatsight_core.manifest.catalog import CHUNKS, EVENTS, HITS, REJECTED, SESSIONS, is_catalog
from beatsight_core.manifest.identity import SUMMARY, manifest_key, resolve_manifest, split_limit
from beatsight_core.manifest.inbox.entries import inbox_file
from beatsight_core.manifest.inbox.wishes import wish_forgotten
from beatsight_core.names import file_name
from beatsight_core.promotion.version.write_version import about_version, versions
from beatsight_core.settings import Settings
from beatsight_core.storage.survey import StorageSurvey, survey
from beatsight_core.storage.usage import learners
from beatsight_core.typed_json import JsonObject, to_json

_KEY = re.compile(r".+-[0-9a-f]{8}(-limit[1-9][0-9]*)?", re.DOTALL)
"""The form of a manifest's key; other folders of the catalog are shared by all."""

_CATALOG_FILES = {
    EVENTS, HITS, REJECTED, SUMMARY, CHUNKS, SESSIONS, INVENTORY_FILES, INVENTORY
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A manifest that was forgotten, or would be.

    Attributes:
        key: Key of the manifest.
        done: True if it was forgotten.
        paths: Folders and files that go: catalogs, indexes, page, and the file in the inbox if that was asked for.
        runs: Runs that learned from it.
        versions: Versions of the model that came of such a run.
        archives: Runs that are left in the archive only; they need nothing of it.
        frees: Bytes of shards and features that then nothing names, for `prune` to free.
        file: File of the manifest in the inbox, if there is one.
    """

    key: str
    done: bool
    paths: tuple[str, ...]
    runs: tuple[str, ...]
    versions: tuple[int, ...]
    archives: tuple[str, ...]
    frees: int
    file: str | None

    def to_json(self) -> JsonObject:
        """Return the result as `--json` prints it."""
        return to_json(self)


def known_keys(settings: Settings) -> list[str]:
    """Return the keys of all manifests that have a catalog or a dataset."""
    folders = settings.catalog_dir.iterdir() if settings.catalog_dir.is_dir() else ()
    catalogs = {path.name for path in folders if _KEY.fullmatch(path.name) and path.is_dir() and is_catalog(path)}
    return sorted(catalogs | {dataset.key for dataset in survey(settings).datasets})


def find_key(settings: Settings, ref: str, partitions: Iterable[str] = ()) -> str:
    """Return the key that a reference stands for: a known key, a beginning that fits no other, or a manifest's file.

    Args:
        settings: Layout of the data root.
        ref: Reference, as typed.
        partitions: Keys that are known to Dagster alone.

    Raises:
        UsageError: A beginning fits several.
        ManifestError: The reference is none of these.
    """
    known = sorted({*known_keys(settings), *partitions})
    if ref in known:
        return ref
    whole = [key for key in known if split_limit(key)[1] is None]  # a manifest's first lines go with the manifest
    fitting = [key for key in whole if ref and key.startswith(ref)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"{ref!r} fits {len(fitting)} manifests", do=f"name one of: {', '.join(fitting)}")
    return manifest_key(resolve_manifest(settings, ref))


def forget_manifest(
    settings: Settings, key: str, *, with_file: bool = False, override: str | None = None, really: bool = False
) -> Forgotten:
    """Forget a manifest, or say what that would be. It can be repeated: what is gone already is no error.

    Args:
        settings: Layout of the data root.
        key: Key of the manifest, as `find_key` gives it.
        with_file: True to remove its file from the inbox, too.
        override: Reason for doing it although a run or a version names the manifest; it is kept.
        really: True to forget it; otherwise only look.

    Raises:
        UsageError: A run or a version names it and no reason is given, or the shards are in use.
        StorageError: The drive refused.
    """
    found = _found(settings, key, with_file)
    if not really:
        return found
    require_unused(found, override)
    with shards_at_rest(settings):
        found = _found(settings, key, with_file)
        wish_forgotten(settings, key, Path(found.file) if found.file and not with_file else None, override)
        for path in map(Path, found.paths):
            _remove(settings, path)
    return replace(found, done=True)


def require_unused(found: Forgotten, override: str | None) -> None:
    """Refuse to forget a manifest that a run or a version names, unless a reason is given.

    Raises:
        UsageError: A run or version names the manifest, or the reason is empty.
    """
    if override is not None and not override.strip():
        raise UsageError("The reason is empty", do='write --override-use "reason"')
    names = [*(f"run {run}" for run in found.runs), *(f"version {number}" for number in found.versions)]
    if names and override is None:
        raise UsageError(
            f"{found.key} is named by {', '.join(names)}",
            why="without its dataset a run can be neither continued nor evaluated until it is exported again",
            do='add --override-use "reason" to forget it all the same',
        )


def _found(settings: Settings, key: str, with_file: bool) -> Forgotten:
    stored = survey(settings)
    keys = [key, *(known for known in known_keys(settings) if split_limit(known)[0] == key and known != key)]
    using = [learner for learner in learners(settings) if learner.key in keys]
    about = {number: about_version(settings, number) for number in versions(settings)}
    file = inbox_file(settings, key)
    paths = [path for each in keys for path in _paths(settings, each)]
    return Forgotten(
        key=key,
        done=False,
        paths=tuple(map(str, [*paths, *([file] if file and with_file else [])])),
        runs=tuple(learner.run for learner in using if learner.status != "archived"),
        versions=tuple(number for number, says in about.items() if says and says.get("key") in keys),
        archives=tuple(learner.run for learner in using if learner.status == "archived"),
        frees=_frees(stored, set(keys)),
        file=str(file) if file else None,
    )


def _paths(settings: Settings, key: str) -> list[Path]:
    catalog = settings.catalog_folder(key)
    mine = [catalog] if _KEY.fullmatch(key) and _holds_catalog(catalog) else []
    return [path for path in (*mine, *index_paths(settings, key), *page_paths(settings, key)) if path.exists()]


def _holds_catalog(folder: Path) -> bool:
    """Whether a folder is a catalog, be it a damaged one, and nothing else lies in it."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return is_catalog(folder) or {path.name for path in folder.iterdir()} <= _CATALOG_FILES


def _frees(stored: StorageSurvey, keys: set[str]) -> int:
    mine = {digest for digest, users in stored.users.items() if users <= keys}
    return sum(stored.shards.get(digest, 0) + stored.feature_bytes.get(digest, 0) for digest in mine)


def _remove(settings: Settings, path: Path) -> None:
    with storage_errors(path):
        if path.parent == settings.catalog_dir:
            with exclusive_lock(settings.catalog_dir / ".locks" / file_name(path.name)):  # nobody builds it meanwhile
                retired = temporary_path(path)
                path.rename(retired)
                shutil.rmtree(retired)  # what a kill leaves of it is cleared with other leftovers
            return
        path.unlink(missing_ok=True)
        if path.parent.parent == settings.dataset_dir and not any(path.parent.iterdir()):
            path.parent.rmdir()

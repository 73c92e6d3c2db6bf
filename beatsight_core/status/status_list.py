"""Where all manifests of a data root stand: those of the inbox, and those that only a catalog or a dataset tells of."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from beatsight_core.dataset.index import index_files, read_index
from beatsight_core.errors import BeatSightError, DatasetError, ManifestError, UsageError
from beatsight_core.files import read_json
from beatsight_core.leftovers import is_temporary
from beatsight_core.manifest.catalog import is_catalog
from beatsight_core.manifest.identity import (
    SUMMARY,
    ManifestState,
    digest_memory,
    key_of,
    known_sha256,
    manifest_sha256,
    manifest_stem,
    require_name,
    resolve_manifest,
    split_limit,
)
from beatsight_core.manifest.inbox.entries import inbox_entries
from beatsight_core.runs.records import Run, list_runs
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings
from beatsight_core.status.data_stages import MANIFEST
from beatsight_core.status.first_look import why_unreadable
from beatsight_core.status.manifest_status import status_of, unread_status
from beatsight_core.status.stage import ManifestStatus, RefusedFile, Stage, StatusList

QUICK_BYTES = 64 << 20
"""A manifest up to this size is digested for a look: that takes less than a tenth of a second."""

NO_MANIFEST = "beatsight doctor"
"""What to type where there is no manifest yet."""


def list_statuses(settings: Settings) -> StatusList:
    """Return where all manifests stand.

    Raises:
        StorageError: The inbox cannot be listed.
    """
    entries, runs = inbox_entries(settings), list_runs(settings)
    files = [entry.path for entry in entries if entry.problem is None]
    refused = tuple(RefusedFile(str(entry.path), entry.problem) for entry in entries if entry.problem)
    keys = {path: _key_of(settings, path) for path in files}
    manifests = [_of_file(settings, path, key, runs) for path, key in keys.items()]
    stems = {manifest_stem(path) for path in files}
    others = [key for key in known_keys(settings) if key not in keys.values()]
    earlier = tuple(key for key in others if key.rpartition("-")[0] in stems)
    manifests += [status_of(settings, key, runs=runs) for key in others if key not in earlier]
    return StatusList(
        str(settings.data_root),
        str(settings.manifests_dir),
        tuple(manifests),
        refused,
        earlier,
        None if manifests else NO_MANIFEST,
    )


def status_list_of(settings: Settings, ref: str) -> StatusList:
    """Return where one manifest stands.

    Args:
        settings: Settings of the data root.
        ref: Key, a beginning of one that fits no other, a name in the inbox, or a path.

    Raises:
        ManifestError: There is no such manifest.
        UsageError: A beginning fits several.
    """
    key = find_manifest(settings, ref)
    status = _of_file(settings, key, None, ()) if isinstance(key, Path) else _of_key(settings, key)
    return StatusList(str(settings.data_root), str(settings.manifests_dir), (status,))


def find_manifest(settings: Settings, ref: str) -> str | Path:
    """Return the key that a reference stands for; the file of a manifest whose content was never looked at whole.

    Raises:
        ManifestError: There is no such manifest.
        UsageError: A beginning fits several.
    """
    known = known_keys(settings)
    if ref in known:
        return ref
    fitting = [key for key in known if ref and key.startswith(ref) and split_limit(key)[1] is None]
    try:
        path = resolve_manifest(settings, ref)
    except ManifestError:
        if len(fitting) > 1:
            do = f"name one of: {', '.join(fitting)}"
            raise UsageError(f"{ref!r} fits {len(fitting)} manifests", do=do) from None
        if fitting:
            return fitting[0]
        raise
    require_name(path)
    return _key_of(settings, path) or path


def known_keys(settings: Settings) -> list[str]:
    """Return the keys of all manifests that have a catalog or a dataset, sorted."""
    return sorted({*_catalogued(settings), *_exported(settings)})


def _catalogued(settings: Settings) -> Iterator[str]:
    for summary in settings.catalog_dir.glob(f"*/{SUMMARY}"):
        if is_catalog(summary.parent) and not is_temporary(summary.parent, is_catalog):
            yield summary.parent.name


def _exported(settings: Settings) -> Iterator[str]:
    folders = settings.dataset_dir.iterdir() if settings.dataset_dir.is_dir() else ()
    for folder in folders:
        first = next(iter(index_files(folder)), None) if folder != settings.shards_dir else None
        with contextlib.suppress(DatasetError):
            if first is not None:
                yield read_index(first).manifest


def _key_of(settings: Settings, path: Path) -> str | None:
    """The key of a file, as far as that is known without reading much; None if it is not."""
    with contextlib.suppress(BeatSightError, OSError):
        state = ManifestState.of(path)
        known = known_sha256(state, digest_memory(settings))
        if known is None and state.size <= QUICK_BYTES:
            known = manifest_sha256(path, remember=False)
        return key_of(path, known) if known else _recorded_key(settings, path, state.size)
    return None


def _recorded_key(settings: Settings, path: Path, size: int) -> str | None:
    """The key of the catalog that was made of a file of this path and size; None if there is none."""
    for summary in settings.catalog_dir.glob(f"{_no_pattern(manifest_stem(path))}-*/{SUMMARY}"):
        with contextlib.suppress(DatasetError, LookupError, TypeError):
            made_of = read_json(summary)
            if (made_of["manifest"], made_of["bytes"], made_of["limit"]) == (str(path), size, None):
                return summary.parent.name
    return None


def _no_pattern(text: str) -> str:
    return "".join(f"[{each}]" if each in "*?[" else each for each in text)


def _of_key(settings: Settings, key: str) -> ManifestStatus:
    """The status of a key; a file of the inbox of that key that nobody has read yet is looked into."""
    status = status_of(settings, key)
    if status.file is None or status.stages[0].state != "not yet":
        return status
    return _of_file(settings, Path(status.file), key, ())


def _of_file(settings: Settings, path: Path, key: str | None, runs: Sequence[Run]) -> ManifestStatus:
    """The status of a file of the inbox, with a look at its first lines if nobody has read it."""
    status = status_of(settings, key, file=path, runs=runs) if key else None
    if status is not None and status.stages[0].state != "not yet":
        return status
    command = f"beatsight manifest check {for_shell(path.name if path.parent == settings.manifests_dir else str(path))}"
    why = why_unreadable(settings, path)
    if why is None:
        return status or unread_status(path, Stage(MANIFEST, "not yet", "it was not read yet", next=command))
    stage = Stage(MANIFEST, "failed", why.what, (why.why,) if why.why else (), next=command, first=why.do)
    return unread_status(path, stage)

"""From a manifest to its catalog: found where it is there, made where it is not.

`catalog_making` makes it. That file is imported only then, because the libraries of tables take longer to load than
finding a catalog does.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from beatsight_core.errors import DatasetError, UsageError
from beatsight_core.files import exclusive_lock, unless_read_only
from beatsight_core.leftovers import find_leftovers, remove_leftovers
from beatsight_core.manifest.catalog import (
    Catalog,
    CatalogSummary,
    is_catalog,
    is_current,
    open_catalog,
    read_catalog,
)
from beatsight_core.manifest.identity import (
    ManifestState,
    digest_memory,
    is_compressed,
    key_of,
    known_sha256,
    limited_key,
    manifest_key,
    manifest_sha256,
    manifest_stem,
    require_name,
    resolve_manifest,
    split_limit,
)
from beatsight_core.names import file_name
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.settings import Settings
from beatsight_core.workers import worker_count

if TYPE_CHECKING:
    from beatsight_core.manifest.catalog_making import CatalogRequest, Pool

__all__ = [
    "Catalog",
    "CatalogSummary",
    "build_catalog",
    "manifest_key",
    "open_catalog",
    "resolve_manifest",
]

POOL_BYTES = 128 << 20
"""A manifest smaller than this is read in this process: starting others takes as long."""

COMPRESSION = 6
"""About how many times as much text a compressed manifest holds."""


def build_catalog(
    settings: Settings,
    ref: str | Path,
    *,
    limit: int | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Catalog:
    """Make the catalog of a manifest, unless it is there for the same content and the same settings.

    A catalog that no longer fits is replaced as a whole folder. The audio inventory in it goes too, as its counts were
    of the old hits: whatever needs the inventory builds it again. If the process is killed in the instant of the
    exchange there is no catalog until the next call, which makes it.

    Args:
        settings: Layout of the data root, taxonomy, source sets and split ratios.
        ref: Path, name in the inbox, or known key of the manifest.
        limit: Number of lines, blank ones not counted, to take from the start, as a catalog of its own; all by default.
        folder: Folder to put the catalog into instead; then nothing is written elsewhere.
        progress: Receiver of the bytes read and the events that became hits.

    Raises:
        ManifestError: The manifest is not found, damaged, changes while it is read, or holds no valid event.
        StorageError: A drive is full or gone. An earlier catalog is then as it was.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"The limit must be at least 1, not {limit}")
    known = _known_by_key(settings, str(ref), limit) if folder is None else None
    if known is not None:
        return known
    path = _manifest_path(settings, ref)
    if limit is None and manifest_stem(path) != str(ref):
        limit = split_limit(str(ref))[1]
    sha256 = known_sha256(ManifestState.of(path), digest_memory(settings))
    if folder is None and sha256 and (there := _there(settings, path, sha256, limit)):
        return there
    return _made(settings, path, limit, folder, progress or SilentProgress())


def _made(settings: Settings, path: Path, limit: int | None, folder: Path | None, progress: Progress) -> Catalog:
    """The catalog of a manifest that is new, or that was touched since."""
    from beatsight_core.manifest.catalog_making import catalog_pool, make_catalog

    with catalog_pool(_processes(settings, path, limit)) as pool:
        request = _request(settings, path, limit, pool, remember=folder is None)
        if folder is not None:
            there = _fresh(settings, folder, request.sha256, limit)
            return there or make_catalog(request, folder, pool, progress, grown=False)
        if there := _there(settings, path, request.sha256, limit):
            return there
        target = settings.catalog_folder(request.key)
        with _alone(settings, request.key):
            remove_leftovers(settings.catalog_dir, is_catalog)
            # Whoever held the lock before may have made it.
            there = _fresh(settings, target, request.sha256, limit)
            return there or make_catalog(request, target, pool, progress, grown=True)


def _there(settings: Settings, path: Path, sha256: str, limit: int | None) -> Catalog | None:
    """The catalog of a manifest with this digest, if it is there; what killed processes left beside it goes."""
    key = limited_key(key_of(path, sha256), limit)
    there = _fresh(settings, settings.catalog_folder(key), sha256, limit)
    if there and find_leftovers(settings.catalog_dir, is_catalog):
        with unless_read_only(), _alone(settings, key):
            remove_leftovers(settings.catalog_dir, is_catalog)
    return there


def _alone(settings: Settings, key: str) -> AbstractContextManager[None]:
    """Be the only one who makes this catalog."""
    return exclusive_lock(settings.catalog_dir / ".locks" / file_name(key))


def _manifest_path(settings: Settings, ref: str | Path) -> Path:
    path = resolve_manifest(settings, ref)
    require_name(path)
    return path


def _processes(settings: Settings, path: Path, limit: int | None) -> int:
    """How many processes a manifest is worth; one per core, as each has its own part of the text to parse."""
    size = ManifestState.of(path).size * (COMPRESSION if is_compressed(path) else 1)
    if limit is not None or size < POOL_BYTES:
        return 1
    return worker_count(settings.dataset.workers)


def _request(settings: Settings, path: Path, limit: int | None, pool: "Pool", *, remember: bool) -> "CatalogRequest":
    from beatsight_core.manifest.catalog_making import CatalogRequest
    from beatsight_core.manifest.parsing.growth import earlier_catalogs

    state, memory = ManifestState.of(path), digest_memory(settings)
    marks: list[int] = []
    if known_sha256(state, memory) is None:
        pool.start()  # the manifest is new, so there will be work; the processes get ready while it is digested
        marks = [catalog.summary.bytes for catalog in earlier_catalogs(settings, path, state.size)]
    sha256 = manifest_sha256(path, memory, remember=remember, marks=marks)
    return CatalogRequest(settings, path, state, sha256, limited_key(key_of(path, sha256), limit), limit)


def _known_by_key(settings: Settings, ref: str, limit: int | None) -> Catalog | None:
    """The catalog of a key, which names its content: the manifest's file is not needed then."""
    if Path(ref).name != ref:
        return None
    try:
        catalog = open_catalog(settings, limited_key(ref, limit))
    except (DatasetError, OSError):
        return None
    return catalog if is_current(settings, catalog.summary) else None


def _fresh(settings: Settings, folder: Path, sha256: str, limit: int | None) -> Catalog | None:
    """The catalog in a folder, if it is of this content and these settings."""
    try:
        catalog = read_catalog(folder)
    except (DatasetError, OSError):
        return None
    same = catalog.summary.sha256 == sha256 and catalog.summary.limit == limit
    return catalog if same and is_current(settings, catalog.summary) else None

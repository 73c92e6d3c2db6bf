"""A catalog for somebody who only looks: made as ever, and where nothing may be written, in a folder of its own.

A data root may lie on a read-only drive, or belong to another user. What it holds can be looked at all the same.
"""

import shutil
import tempfile
import weakref
from pathlib import Path

from beatsight_core.errors import StorageError
from beatsight_core.manifest.read_manifest import Catalog, build_catalog
from beatsight_core.progress import Progress
from beatsight_core.settings import Settings


def catalog_to_look_at(settings: Settings, ref: str | Path, *, progress: Progress | None = None) -> Catalog:
    """Return the catalog of a manifest, kept in the data root unless nothing may be written there.

    Args:
        settings: Layout of the data root.
        ref: Path, name in the inbox, or known key of the manifest.
        progress: Receiver of the bytes read.

    Returns:
        The catalog; one that could not be kept lies in a folder for temporary files, as long as the catalog is in use.

    Raises:
        ManifestError: The manifest is not found, damaged, or holds no valid event.
        StorageError: A drive is full or gone.
    """
    try:
        return build_catalog(settings, ref, progress=progress)
    except StorageError as error:
        if not error.is_read_only:
            raise
    folder = Path(tempfile.mkdtemp(prefix="beatsight-catalog-"))
    try:
        catalog = build_catalog(settings, ref, folder=folder / "catalog", progress=progress)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(catalog, shutil.rmtree, folder, ignore_errors=True)
    return catalog

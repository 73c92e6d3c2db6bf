"""The catalog of a manifest."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from beatsight_core.errors import DatasetError
from beatsight_core.manifest.read_manifest import open_catalog
from beatsight_core.settings import Settings
from tests.faults.lab import MANIFEST, DamagedError, Lab, View, content


class CatalogSubject:
    """`beatsight manifest check`."""

    name = "catalog"
    workers = 1

    def arguments(self, root: Path) -> list[str]:
        return ["manifest", "check", MANIFEST]

    def prepare(self, lab: Lab, root: Path, state: str) -> None:
        prepare_catalog(lab, root, state)

    def look(self, settings: Settings) -> View:
        return catalog_view(settings)

    def pieces(self, root: Path) -> list[Path]:
        return []  # it is committed in one piece

    def content(self, root: Path) -> Mapping[str, str]:
        return content(root)

    def under_way(self, root: Path) -> list[Path]:
        return []


def prepare_catalog(lab: Lab, root: Path, state: str, *verbs: list[str]) -> None:
    """A data root with a manifest and settings, and before that whatever verbs made of what there was then."""
    manifest = root / "manifests" / MANIFEST
    if state != "fresh":
        lab.corpus.write_settings(root, val_ratio=0.2 if state == "grown" else 0.35)
        lab.corpus.write_manifest(manifest, 0.7 if state == "grown" else 1.0)
        for verb in [*verbs] or [["manifest", "check", MANIFEST]]:
            lab.must(verb, root)
    lab.corpus.write_settings(root)
    lab.corpus.write_manifest(manifest)


def catalog_view(settings: Settings) -> View:
    """What is in each catalog that readers find."""
    view: dict[str, str | None] = {}
    for folder in sorted(settings.catalog_dir.glob("takes-*")):
        if ".tmp-" in folder.name or not (folder / "summary.json").exists():
            continue
        try:
            catalog = open_catalog(settings, folder.name)
            rows = [pl.read_parquet(path).height for path in (catalog.events_path, catalog.hits_path)]
        except (DatasetError, OSError, pl.exceptions.PolarsError) as error:
            raise DamagedError(f"catalog {folder.name}: {error}") from error
        if rows != [catalog.summary.kept, catalog.summary.hits]:
            raise DamagedError(f"catalog {folder.name} holds {rows} rows")
        parts = [catalog.events_path, catalog.hits_path, catalog.rejected_path]
        data = b"".join(path.read_bytes() for path in parts) + catalog.summary.inputs.encode()
        view[f"catalog {folder.name}"] = hashlib.sha256(data).hexdigest()
    return view


SUBJECTS = [CatalogSubject()]

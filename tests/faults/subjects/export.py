"""An export, with several numbers of workers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.dataset.index import index_paths
from beatsight_core.dataset.reader import open_dataset, shard_audio
from beatsight_core.errors import BeatSightError
from beatsight_core.settings import Settings
from tests.faults.lab import MANIFEST, DamagedError, Lab, View, content
from tests.faults.subjects.catalog import catalog_view, prepare_catalog

EXPORT = ["export", MANIFEST, "--workers", "1"]


@dataclass(frozen=True)
class ExportSubject:
    """`beatsight export --workers N`."""

    workers: int

    @property
    def name(self) -> str:
        return f"export, {self.workers} worker{'s' if self.workers > 1 else ''}"

    def arguments(self, root: Path) -> list[str]:
        return ["export", MANIFEST, "--workers", str(self.workers)]

    def prepare(self, lab: Lab, root: Path, state: str) -> None:
        prepare_catalog(lab, root, state, EXPORT)

    def look(self, settings: Settings) -> View:
        return {**catalog_view(settings), **dataset_view(settings)}

    def pieces(self, root: Path) -> list[Path]:
        return sorted((root / "datasets" / "shards").glob("*/*.parquet"))

    def content(self, root: Path) -> Mapping[str, str]:
        return content(root)

    def under_way(self, root: Path) -> list[Path]:
        return sorted((root / "datasets" / "shards").glob("*/*.parquet.tmp-*"))


def dataset_view(settings: Settings) -> View:
    """What each index that readers find holds, all clips read."""
    view: dict[str, str | None] = {}
    for folder in sorted(settings.dataset_dir.glob("takes-*")):
        for index in index_paths(settings, folder.name):
            try:
                dataset = open_dataset(settings, folder.name, [index.stem])
                dataset.metadata()
                clips = hashlib.sha256(b"".join(shard_audio(shard).tobytes() for shard in dataset.shards)).hexdigest()
            except BeatSightError as error:
                raise DamagedError(f"dataset {folder.name}, {index.stem}: {error}") from error
            view[f"dataset {folder.name} {index.stem}"] = f"{dataset.digest} {clips}"
    return view


SUBJECTS = [ExportSubject(1), ExportSubject(2), ExportSubject(4)]

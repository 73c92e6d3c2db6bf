"""Removing what no index names: shards, what was made of them, and what killed writers left.

What is removed can be made again: shards by an export, features by warming, measurements by a health report. Indexes
are never touched here. A dataset that is not wanted any more is removed by `removal.py`; its shards are then named by
nobody.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.dataset.in_use import shards_at_rest
from beatsight_core.dataset.shards.shard_schema import shard_name
from beatsight_core.errors import DatasetError
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import storage_errors
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.runs.records import list_runs
from beatsight_core.settings import Settings
from beatsight_core.storage.survey import StorageSurvey, survey
from beatsight_core.storage.usage import archived_shards
from beatsight_core.typed_json import JsonObject

KINDS = ("shards", "features", "measured", "specs", "leftovers")
"""Shards that no index names; features of such shards; how they sound, as health reports measured it; features under
specs that nothing asks for; what killed writers left."""


@dataclass(frozen=True, slots=True)
class Prunable:
    """A file, or a folder of a killed writer, that nothing names."""

    kind: str
    path: Path
    bytes: int


@dataclass(frozen=True, slots=True)
class PruneResult:
    """The result of pruning: what was removed, or would be.

    Attributes:
        done: True if the items were removed.
        items: Files and folders that nothing names.
        archived: Number of the shards that an archived run remembers.
    """

    done: bool
    items: tuple[Prunable, ...]
    archived: int

    @property
    def bytes(self) -> int:
        """Bytes of all items."""
        return sum(item.bytes for item in self.items)

    def to_json(self) -> JsonObject:
        """Return the result, with files and bytes of each kind."""
        kinds = {kind: [item.bytes for item in self.items if item.kind == kind] for kind in KINDS}
        return {
            "done": self.done,
            "bytes": self.bytes,
            "kinds": {kind: {"files": len(sizes), "bytes": sum(sizes)} for kind, sizes in kinds.items()},
            "archived_shards": self.archived,
            "paths": [str(item.path) for item in self.items],
        }


def prune(
    settings: Settings, *, specs: bool = False, really: bool = False, progress: Progress | None = None
) -> PruneResult:
    """Remove what no index names, or say what that would be.

    Args:
        settings: Layout of the data root.
        specs: True to remove the features, of any shard, under specs that neither the settings nor a run ask for.
        really: True to remove; otherwise only look.
        progress: Receiver of the number of files removed.

    Raises:
        DatasetError: There is no dataset folder, or an index is damaged, so that nobody knows what it names.
        UsageError: An export or a feature build is under way.
        StorageError: The drive refused.
    """
    if not settings.dataset_dir.is_dir():
        raise DatasetError(
            "There is no folder of datasets", where=settings.dataset_dir, do="mount its drive, or export something"
        )
    with shards_at_rest(settings, to_remove=really):
        stored = survey(settings)
        _require_whole(stored)
        items = tuple(_prunable(settings, stored, specs))
        remembered = archived_shards(settings)
        archived = sum(item.kind == "shards" and item.path.stem in remembered for item in items)
        if really:
            _remove(items, progress or SilentProgress())
    return PruneResult(really, items, archived)


def _require_whole(stored: StorageSurvey) -> None:
    damaged = [path for dataset in stored.datasets for path in dataset.damaged]
    if damaged:
        raise DatasetError(
            "A dataset index is damaged, so nobody knows which shards it names",
            where=", ".join(map(str, damaged)),
            do="export that dataset again, or remove it: beatsight dataset rm",
        )


def _prunable(settings: Settings, stored: StorageSurvey, specs: bool) -> Iterator[Prunable]:
    for digest, size in sorted(stored.shards.items()):
        if digest not in stored.users:
            yield Prunable("shards", settings.shards_dir / shard_name(digest), size)
    asked = _specs_asked_for(settings) if specs else None
    for file in sorted(stored.features, key=lambda file: file.path):
        if file.shard not in stored.users:
            yield Prunable("features", file.path, file.bytes)
        elif asked is not None and file.spec not in asked:
            yield Prunable("specs", file.path, file.bytes)
    for path, (digest, size) in sorted(stored.measured.items()):
        if digest not in stored.measurable:
            yield Prunable("measured", path, size)
    for path, size in sorted(stored.leftovers.items()):
        yield Prunable("leftovers", path, size)


def _specs_asked_for(settings: Settings) -> set[str]:
    return {FeatureSpec.from_settings(settings).digest, *(run.spec.digest for run in list_runs(settings))}


def _remove(items: Iterable[Prunable], progress: Progress) -> None:
    listed = list(items)
    freed = 0
    with progress.task("prune", total=len(listed), unit="files") as task:
        for item in listed:
            with storage_errors(item.path):
                if item.path.is_dir() and not item.path.is_symlink():
                    shutil.rmtree(item.path)
                else:
                    item.path.unlink(missing_ok=True)
            freed += item.bytes
            task.advance(1, MB=freed / 1e6)

"""What the shelf holds in figures: a line per dataset, and the bytes that each takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from beatsight_core.dataset.shards.schema import ClipSpec
from beatsight_core.dataset.space import free_bytes
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.settings import Settings
from beatsight_core.storage.survey import Shelf, ShelvedDataset, survey
from beatsight_core.storage.usage import Learner, learners, learners_of

READY = "ready"


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of figures, with what they are about."""

    place: str
    rows: tuple[Mapping[str, Any], ...]
    totals: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"dataset_dir": self.place, "datasets": list(self.rows), "totals": dict(self.totals)}


def list_datasets(settings: Settings) -> Listing:
    """A row per dataset: source sets, clips, bytes, digest, state, features, when it was made, who learned from it.

    Raises:
        StorageError: A folder cannot be read.
    """
    shelf, known = survey(settings), learners(settings)
    rows = tuple(dataset_row(settings, shelf, dataset, known) for dataset in shelf.datasets)
    named = {digest: shelf.shards.get(digest, 0) for digest in shelf.users}
    totals = {"datasets": len(rows), "shards": len(named), "bytes": sum(named.values())}
    return Listing(str(settings.dataset_dir), rows, totals)


def dataset_row(
    settings: Settings, shelf: Shelf, dataset: ShelvedDataset, known: tuple[Learner, ...]
) -> dict[str, Any]:
    """A dataset in one row."""
    shards = dataset.shards
    spec = FeatureSpec.from_settings(settings).digest
    warm = {file.shard for file in shelf.features if file.spec == spec}
    return {
        "key": dataset.key,
        "source_sets": [index.source_set for index in dataset.indexes],
        "hits": sum(index.counts["hits"] for index in dataset.indexes),
        "clips": sum(index.counts["clips"] for index in dataset.indexes),
        "shards": len(shards),
        "bytes": sum(entry.bytes for entry in shards.values()),
        "digest": dataset.digest,
        "state": _state(settings, shelf, dataset),
        "features": _covered(shards, warm),
        "made": dataset.made.isoformat(timespec="seconds"),
        "used_by": [learner.run for learner in learners_of(dataset, known)],
    }


def disk_use(settings: Settings) -> Listing:
    """The bytes of each dataset: in all, shared with others, its own alone; and what no dataset holds.

    Raises:
        StorageError: A folder cannot be read.
    """
    shelf = survey(settings)
    rows = tuple(
        {
            "key": dataset.key,
            **_use(shelf, dataset, shelf.shards),
            **{f"features_{name}": size for name, size in _use(shelf, dataset, shelf.feature_bytes).items()},
        }
        for dataset in shelf.datasets
    )
    unnamed = [size for digest, size in shelf.shards.items() if digest not in shelf.users]
    spec = FeatureSpec.from_settings(settings).digest
    totals = {
        "shards": _sum(shelf.shards.values()),
        "features": _sum(file.bytes for file in shelf.features),
        "shards_unnamed": _sum(unnamed),
        "features_unnamed": _sum(file.bytes for file in shelf.features if file.shard not in shelf.users),
        "measured_unnamed": _sum(size for digest, size in shelf.measured.values() if digest not in shelf.measurable),
        "features_of_other_specs": _sum(file.bytes for file in shelf.features if file.spec != spec),
        "leftovers": _sum(shelf.leftovers.values()),
        "free_bytes": free_bytes(settings.shards_dir),
    }
    return Listing(str(settings.dataset_dir), rows, totals)


def _state(settings: Settings, shelf: Shelf, dataset: ShelvedDataset) -> str:
    """What stands between the dataset and its use, in two words."""
    if dataset.damaged:
        return "damaged index"
    if missing := sum(digest not in shelf.shards for digest in dataset.shards):
        return f"{missing} shards missing"
    made = ((index.settings, ClipSpec.of(settings, index.source_set).to_json()) for index in dataset.indexes)
    return READY if all(found == wanted for found, wanted in made) else "other settings"


def _covered(shards: Mapping[str, Any], warm: set[str]) -> float | None:
    """Share of clips whose features are there under the present spec."""
    clips = sum(entry.rows for entry in shards.values())
    return sum(entry.rows for digest, entry in shards.items() if digest in warm) / clips if clips else None


def _use(shelf: Shelf, dataset: ShelvedDataset, sizes: Mapping[str, int]) -> dict[str, int]:
    mine = {digest: sizes.get(digest, 0) for digest in dataset.shards}
    own = sum(size for digest, size in mine.items() if len(shelf.users[digest]) == 1)
    return {"bytes": sum(mine.values()), "shared": sum(mine.values()) - own, "own": own}


def _sum(sizes: Iterable[int]) -> dict[str, int]:
    listed = list(sizes)
    return {"files": len(listed), "bytes": sum(listed)}

"""One dataset from close by: its figures, its shards and who else holds them, the runs that learned from it."""

from typing import Any

from beatsight_core.dataset.page.figures import dataset_figures, label_counts
from beatsight_core.dataset.shards.schema import shard_name
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.settings import Settings
from beatsight_core.storage.listing import dataset_row
from beatsight_core.storage.survey import Shelf, ShelvedDataset, find_dataset, survey
from beatsight_core.storage.usage import learners, learners_of


def describe_dataset(settings: Settings, ref: str) -> dict[str, Any]:
    """Everything about a dataset, JSON-safe.

    Args:
        settings: Where to look.
        ref: Its key, a beginning of it that fits no other, or its manifest.

    Returns:
        The row of `list_datasets`, the tables of `figures.dataset_figures`, `shards` (a row each), `learners` (a row
        each), `damaged` (indexes that cannot be read).

    Raises:
        DatasetError: There is no such dataset, or a shard is broken.
        StorageError: A folder cannot be read.
    """
    shelf, known = survey(settings), learners(settings)
    dataset = find_dataset(settings, shelf, ref)
    return {
        **dataset_figures(dataset.key, dataset.indexes, label_counts(settings, dataset.indexes)),
        **dataset_row(settings, shelf, dataset, known),
        "shards": _shards(settings, shelf, dataset),
        "learners": [learner.to_json() for learner in learners_of(dataset, known)],
        "damaged": [str(path) for path in dataset.damaged],
    }


def _shards(settings: Settings, shelf: Shelf, dataset: ShelvedDataset) -> list[dict[str, Any]]:
    spec = FeatureSpec.from_settings(settings).digest
    warm = {file.shard for file in shelf.features if file.spec == spec}
    return [
        {
            "shard": entry.digest,
            "path": str(settings.shards_dir / shard_name(entry.digest)),
            "source_set": index.source_set,
            "rows": entry.rows,
            "bytes": entry.bytes,
            "files": entry.files,
            "there": entry.digest in shelf.shards,
            "features": entry.digest in warm,
            "shared_with": sorted(shelf.users[entry.digest] - {dataset.key}),
        }
        for index in dataset.indexes
        for entry in index.shards
    ]

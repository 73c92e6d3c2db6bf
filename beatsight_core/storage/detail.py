"""One dataset in detail: its figures, its shards and which other datasets hold them, the runs that learned from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.dataset.page.figures import dataset_figures, label_counts
from beatsight_core.dataset.shards.shard_schema import shard_name
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.settings import Settings
from beatsight_core.storage.listing import dataset_row
from beatsight_core.storage.survey import StorageSurvey, StoredDataset, find_dataset, survey
from beatsight_core.storage.usage import learners, learners_of
from beatsight_core.typed_json import JsonObject, to_json


@dataclass(frozen=True, slots=True)
class ShardRow:
    """A shard of a dataset in one row.

    Attributes:
        shard: Digest of the shard.
        path: File of the shard.
        source_set: Source set that it belongs to.
        rows: Number of clips.
        bytes: Size of the shard.
        files: Number of audio files that it was made from.
        there: True if the file is there.
        features: True if its features are there under the present spec.
        shared_with: Keys of the other datasets that name it.
    """

    shard: str
    path: Path
    source_set: str
    rows: int
    bytes: int
    files: int
    there: bool
    features: bool
    shared_with: tuple[str, ...]


def describe_dataset(settings: Settings, ref: str) -> JsonObject:
    """Return everything about a dataset, JSON-safe.

    Args:
        settings: Layout of the data root.
        ref: Key of the dataset, a beginning of it that fits no other, or its manifest.

    Returns:
        The row of `list_datasets`, the tables of `figures.dataset_figures`, `shards` (a row each), `learners` (a row
        each), `damaged` (indexes that cannot be read).

    Raises:
        DatasetError: There is no such dataset, or a shard is broken.
        StorageError: A folder cannot be read.
    """
    stored, known = survey(settings), learners(settings)
    dataset = find_dataset(settings, stored, ref)
    return {
        **to_json(dataset_figures(dataset.key, dataset.indexes, label_counts(settings, dataset.indexes))),
        **to_json(dataset_row(settings, stored, dataset, known)),
        "shards": [to_json(shard) for shard in _shards(settings, stored, dataset)],
        "learners": [to_json(learner) for learner in learners_of(dataset, known)],
        "damaged": [str(path) for path in dataset.damaged],
    }


def _shards(settings: Settings, stored: StorageSurvey, dataset: StoredDataset) -> Iterator[ShardRow]:
    spec = FeatureSpec.from_settings(settings).digest
    warm = {file.shard for file in stored.features if file.spec == spec}
    for index in dataset.indexes:
        for entry in index.shards:
            yield ShardRow(
                shard=entry.digest,
                path=settings.shards_dir / shard_name(entry.digest),
                source_set=index.source_set,
                rows=entry.rows,
                bytes=entry.bytes,
                files=entry.files,
                there=entry.digest in stored.shards,
                features=entry.digest in warm,
                shared_with=tuple(sorted(stored.users[entry.digest] - {dataset.key})),
            )

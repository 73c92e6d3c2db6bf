"""Datasets in figures: a row for each, and the bytes that it takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from beatsight_core.dataset.index import ShardEntry
from beatsight_core.dataset.shards.shard_schema import ClipSpec
from beatsight_core.dataset.space import free_bytes
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.settings import Settings
from beatsight_core.storage.survey import StorageSurvey, StoredDataset, survey
from beatsight_core.storage.usage import Learner, learners, learners_of
from beatsight_core.typed_json import JsonObject, to_json

READY = "ready"


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset in one row.

    Attributes:
        key: Key of the manifest.
        source_sets: Source sets that it has.
        hits: Number of hits, with and without a clip.
        clips: Number of clips.
        shards: Number of shards.
        bytes: Size of all shards together.
        digest: Digest of what it holds.
        state: State of the dataset in a few words; `READY` if nothing stands between it and its use.
        features: Share of clips whose features are there under the present spec; None without a clip.
        made: Time at which it was exported.
        used_by: Runs that learned from it.
    """

    key: str
    source_sets: tuple[str, ...]
    hits: int
    clips: int
    shards: int
    bytes: int
    digest: str
    state: str
    features: float | None
    made: str
    used_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListTotals:
    """The totals of a list of datasets; a shard that several share counts once.

    Attributes:
        datasets: Number of datasets.
        shards: Number of shards.
        bytes: Size of these shards together.
    """

    datasets: int
    shards: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DatasetList:
    """All datasets, a row for each.

    Attributes:
        dataset_dir: Folder of the datasets.
        datasets: Rows, by key.
        totals: Totals of all rows.
    """

    dataset_dir: str
    datasets: tuple[DatasetRow, ...]
    totals: ListTotals

    def to_json(self) -> JsonObject:
        """Return the list as `--json` prints it."""
        return to_json(self)


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """The bytes that a dataset takes.

    Attributes:
        key: Key of the manifest.
        bytes: Size of its shards.
        shared: Size of the shards that other datasets name, too.
        own: Size of the shards that it alone names.
        features_bytes: Size of the features of its shards.
        features_shared: Size of the features of shared shards.
        features_own: Size of the features of its own shards.
    """

    key: str
    bytes: int
    shared: int
    own: int
    features_bytes: int
    features_shared: int
    features_own: int


@dataclass(frozen=True, slots=True)
class FileSum:
    """A number of files, and their size.

    Attributes:
        files: Number of files.
        bytes: Size of these files together.
    """

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DiskTotals:
    """The totals of the storage.

    Attributes:
        shards: Files of all shards.
        features: Files of all features.
        shards_unnamed: Shards that no dataset names.
        features_unnamed: Features of such shards.
        measured_unnamed: Measurements of what no dataset names.
        features_of_other_specs: Features under another spec than that of the settings.
        leftovers: Leftovers of killed writers.
        free_bytes: Room that there is on the drive.
    """

    shards: FileSum
    features: FileSum
    shards_unnamed: FileSum
    features_unnamed: FileSum
    measured_unnamed: FileSum
    features_of_other_specs: FileSum
    leftovers: FileSum
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The bytes that datasets take, and what no dataset holds.

    Attributes:
        dataset_dir: Folder of the datasets.
        datasets: Bytes of each dataset, by key.
        totals: Totals of the storage.
    """

    dataset_dir: str
    datasets: tuple[DatasetUse, ...]
    totals: DiskTotals

    def to_json(self) -> JsonObject:
        """Return the figures as `--json` prints them."""
        return to_json(self)


def list_datasets(settings: Settings) -> DatasetList:
    """Return all datasets, a row for each.

    Raises:
        StorageError: A folder cannot be read.
    """
    stored, known = survey(settings), learners(settings)
    rows = tuple(dataset_row(settings, stored, dataset, known) for dataset in stored.datasets)
    named = {digest: stored.shards.get(digest, 0) for digest in stored.users}
    return DatasetList(str(settings.dataset_dir), rows, ListTotals(len(rows), len(named), sum(named.values())))


def dataset_row(
    settings: Settings, stored: StorageSurvey, dataset: StoredDataset, known: tuple[Learner, ...]
) -> DatasetRow:
    """Return a dataset in one row."""
    shards = dataset.shards
    spec = FeatureSpec.from_settings(settings).digest
    warm = {file.shard for file in stored.features if file.spec == spec}
    return DatasetRow(
        key=dataset.key,
        source_sets=tuple(index.source_set for index in dataset.indexes),
        hits=sum(index.counts.hits for index in dataset.indexes),
        clips=sum(index.counts.clips for index in dataset.indexes),
        shards=len(shards),
        bytes=sum(entry.bytes for entry in shards.values()),
        digest=dataset.digest,
        state=_state(settings, stored, dataset),
        features=_covered(shards, warm),
        made=dataset.made.isoformat(timespec="seconds"),
        used_by=tuple(learner.run for learner in learners_of(dataset, known)),
    )


def disk_use(settings: Settings) -> DiskUse:
    """Return the bytes of each dataset: in all, shared with others, its own alone; and what no dataset holds.

    Raises:
        StorageError: A folder cannot be read.
    """
    stored = survey(settings)
    unnamed = [size for digest, size in stored.shards.items() if digest not in stored.users]
    spec = FeatureSpec.from_settings(settings).digest
    totals = DiskTotals(
        shards=_sum(stored.shards.values()),
        features=_sum(file.bytes for file in stored.features),
        shards_unnamed=_sum(unnamed),
        features_unnamed=_sum(file.bytes for file in stored.features if file.shard not in stored.users),
        measured_unnamed=_sum(size for digest, size in stored.measured.values() if digest not in stored.measurable),
        features_of_other_specs=_sum(file.bytes for file in stored.features if file.spec != spec),
        leftovers=_sum(stored.leftovers.values()),
        free_bytes=free_bytes(settings.shards_dir),
    )
    return DiskUse(str(settings.dataset_dir), tuple(_use(stored, dataset) for dataset in stored.datasets), totals)


def _state(settings: Settings, stored: StorageSurvey, dataset: StoredDataset) -> str:
    """What stands between the dataset and its use, in two words."""
    if dataset.damaged:
        return "damaged index"
    if missing := sum(digest not in stored.shards for digest in dataset.shards):
        return f"{missing} shards missing"
    made = ((index.settings, ClipSpec.of(settings, index.source_set).to_json()) for index in dataset.indexes)
    return READY if all(found == wanted for found, wanted in made) else "other settings"


def _covered(shards: Mapping[str, ShardEntry], warm: set[str]) -> float | None:
    """Share of clips whose features are there under the present spec."""
    clips = sum(entry.rows for entry in shards.values())
    return sum(entry.rows for digest, entry in shards.items() if digest in warm) / clips if clips else None


def _use(stored: StorageSurvey, dataset: StoredDataset) -> DatasetUse:
    shards, own = _bytes_of(stored, dataset, stored.shards)
    features, own_features = _bytes_of(stored, dataset, stored.feature_bytes)
    return DatasetUse(dataset.key, shards, shards - own, own, features, features - own_features, own_features)


def _bytes_of(stored: StorageSurvey, dataset: StoredDataset, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Bytes of all shards of a dataset, and of those that it alone names."""
    mine = {digest: sizes.get(digest, 0) for digest in dataset.shards}
    return sum(mine.values()), sum(size for digest, size in mine.items() if len(stored.users[digest]) == 1)


def _sum(sizes: Iterable[int]) -> FileSum:
    listed = list(sizes)
    return FileSum(len(listed), sum(listed))

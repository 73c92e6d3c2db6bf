"""The use of datasets: runs that learned from them, and runs that are only left in the archive."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from beatsight_core.dataset.index import dataset_digest, read_index
from beatsight_core.errors import DatasetError, InputError
from beatsight_core.leftovers import is_temporary
from beatsight_core.runs.records import CONFIG, Run, list_runs, read_run
from beatsight_core.settings import Settings
from beatsight_core.storage.survey import StoredDataset


@dataclass(frozen=True, slots=True)
class Learner:
    """A run that was trained on a manifest.

    Attributes:
        run: Id of the run.
        key: Key of the manifest.
        status: Status of the run: finished, failed, unfinished; "archived" where only its archive is left.
        dataset: Digest of the dataset as it was then.
        source_sets: Source sets that had clips.
    """

    run: str
    key: str
    status: str
    dataset: str
    source_sets: tuple[str, ...]

    def learned_from(self, dataset: StoredDataset) -> bool:
        """Return whether the dataset is still what the run learned from."""
        if self.key != dataset.key:
            return False
        of_run = [index for index in dataset.indexes if index.source_set in self.source_sets]
        return self.dataset in (dataset.digest, dataset_digest(of_run))


def learners(settings: Settings) -> tuple[Learner, ...]:
    """Return all runs, and those archived ones whose run is gone."""
    present = [_learner(run, run.status) for run in list_runs(settings)]
    known = {learner.run for learner in present}
    gone = {run.run_id: _learner(run, "archived") for run in _archived(settings) if run.run_id not in known}
    return (*present, *gone.values())


def learners_of(dataset: StoredDataset, all_learners: tuple[Learner, ...]) -> tuple[Learner, ...]:
    """Return the learners of a dataset as it is now."""
    return tuple(learner for learner in all_learners if learner.learned_from(dataset))


def archived_shards(settings: Settings) -> Mapping[str, str]:
    """Return shard -> a run whose archive names it. An archive remembers shards, and does not hold them."""
    named: dict[str, str] = {}
    for path in sorted(settings.archive_dir.glob("*/*/dataset/*.json")):
        if is_temporary(path.parent.parent):
            continue
        try:
            index = read_index(path)
        except DatasetError:
            continue
        named |= dict.fromkeys((entry.digest for entry in index.shards), path.parent.parent.name)
    return named


def _archived(settings: Settings) -> Iterator[Run]:
    for path in sorted(settings.archive_dir.glob(f"*/*/run/{CONFIG}")):
        if is_temporary(path.parent.parent):
            continue
        try:
            yield read_run(path.parent)
        except InputError:
            continue


def _learner(run: Run, status: str) -> Learner:
    return Learner(run.run_id, run.key, status, run.dataset_digest, run.source_sets)

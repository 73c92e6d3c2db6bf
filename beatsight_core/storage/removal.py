"""Removing a dataset: its indexes and its page. Its shards stay until they are pruned."""

from dataclasses import dataclass
from pathlib import Path

from beatsight_core.dataset.in_use import shards_at_rest
from beatsight_core.dataset.index import index_files
from beatsight_core.dataset.page.dataset_page import page_paths
from beatsight_core.errors import UsageError
from beatsight_core.files import storage_errors
from beatsight_core.settings import Settings
from beatsight_core.storage.survey import find_dataset, survey
from beatsight_core.storage.usage import learners, learners_of
from beatsight_core.typed_json import JsonObject, to_json


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """A dataset that was removed, or would be.

    Attributes:
        key: Key of the manifest.
        done: True if it was removed.
        paths: Indexes and page of the dataset.
        used_by: Runs that learned from it.
        frees: Bytes of shards and features that then nothing names, for `prune` to free.
    """

    key: str
    done: bool
    paths: tuple[Path, ...]
    used_by: tuple[str, ...]
    frees: int

    def to_json(self) -> JsonObject:
        """Return the result as `--json` prints it."""
        return to_json(self)


def remove_dataset(settings: Settings, ref: str, *, used: bool = False, really: bool = False) -> RemovalResult:
    """Remove the indexes and the page of a dataset, or say what that would be. Exporting again brings them back.

    Args:
        settings: Layout of the data root.
        ref: Key of the dataset, a beginning of it that fits no other, or its manifest.
        used: True to remove it even if a run learned from it.
        really: True to remove; otherwise only look.

    Raises:
        DatasetError: There is no such dataset.
        UsageError: A run learned from it, or an export is under way.
        StorageError: The drive refused.
    """
    stored = survey(settings)
    key = find_dataset(settings, stored, ref).key
    with shards_at_rest(settings, to_remove=really):
        stored = survey(settings)
        dataset = find_dataset(settings, stored, key)
        used_by = tuple(learner.run for learner in learners_of(dataset, learners(settings)))
        if really and used_by and not used:
            raise UsageError(
                f"Runs learned from {key}: {', '.join(used_by)}",
                why="without it they can be neither continued nor evaluated until it is exported again",
                do="add --used to remove it all the same",
            )
        files = (*index_files(dataset.folder), *page_paths(settings, key))
        paths = tuple(path for path in files if path.exists())
        alone = [digest for digest in dataset.shards if len(stored.users[digest]) == 1]
        frees = sum(stored.shards.get(digest, 0) + stored.feature_bytes.get(digest, 0) for digest in alone)
        for path in paths if really else ():
            with storage_errors(path):
                path.unlink(missing_ok=True)
    return RemovalResult(key, really, paths, used_by, frees)

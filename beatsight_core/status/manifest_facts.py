"""What is known of one manifest before its stages are looked at: catalog, indexes, runs. Each is read once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from beatsight_core.dataset.index import Index, dataset_digest, index_paths, read_index
from beatsight_core.errors import BeatSightError, DatasetError
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.gates.gate import GateRow, written_rows
from beatsight_core.manifest.catalog import Catalog, open_catalog
from beatsight_core.manifest.inbox.wishes import Stamp, read_wish
from beatsight_core.runs.candidate import newest_finished
from beatsight_core.runs.records import Run
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings
from beatsight_core.status.stage import Stage


@dataclass(frozen=True)
class ManifestFacts:
    """A manifest, and what the disk says of it.

    Attributes:
        settings: Settings of the data root.
        key: Key of the manifest.
        file: File of the manifest in the inbox; None if it is not there.
        all_runs: All runs of the data root, the one worked on last first.
    """

    settings: Settings
    key: str
    file: Path | None
    all_runs: tuple[Run, ...]

    @cached_property
    def catalog(self) -> Catalog | None:
        """The catalog of the manifest; None without one that is whole."""
        try:
            return open_catalog(self.settings, self.key)
        except DatasetError:
            return None

    @cached_property
    def index_files(self) -> list[Path]:
        """Files of the indexes of the dataset."""
        return index_paths(self.settings, self.key)

    @cached_property
    def indexes(self) -> tuple[Index, ...]:
        """Indexes of the dataset.

        Raises:
            DatasetError: An index is damaged.
        """
        return tuple(read_index(path) for path in self.index_files)

    @cached_property
    def dataset(self) -> str:
        """Digest of the dataset as it is now."""
        return dataset_digest(self.indexes)

    @cached_property
    def spec(self) -> FeatureSpec:
        """Feature spec that settings name."""
        return FeatureSpec.from_settings(self.settings)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Runs of the manifest that were not put aside, the one worked on last first."""
        return tuple(run for run in self.all_runs if run.key == self.key and run.trained_as == run.run_id)

    @cached_property
    def candidate(self) -> Run | None:
        """The finished run that an evaluation or a promotion means."""
        return newest_finished(self.all_runs, self.key)

    @cached_property
    def is_forgotten(self) -> bool:
        """Whether somebody forgot the manifest, and its file has not changed since."""
        left = read_wish(self.settings, self.key).left
        return left is not None and self.file is not None and left == Stamp.of(self.file)

    def command(self, *words: str) -> str:
        """Return a command for the manifest, or for what the words name after it."""
        return " ".join(["beatsight", *words])

    @property
    def typed(self) -> str:
        """The key as it is typed in a shell."""
        return for_shell(self.key)


def failed_gates(rows: Iterable[GateRow]) -> tuple[str, ...]:
    """Return a sentence for each failed gate: title, value, limit, and what was found and helps."""
    failed = (gate for gate in written_rows(rows) if not gate.passed)
    return tuple(f"{gate.name} {gate.value}, limit {gate.limit}: {gate.finding}" for gate in failed)


def looked_at(name: str, look: Callable[[ManifestFacts], Stage], known: ManifestFacts, command: str) -> Stage:
    """Return a stage; one whose files cannot be read has failed for that reason.

    Args:
        name: Name of the stage.
        look: Function that looks at it.
        known: The manifest.
        command: Command that takes the stage further if its files cannot be read.
    """
    try:
        return look(known)
    except BeatSightError as error:
        where = (f"Where: {error.where}",) if error.where else ()
        why = (error.why,) if error.why else ()
        return Stage(name, "failed", error.what, (*why, *where), next=command, first=error.do)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return Stage(name, "failed", f"its file is not one of this version ({error!r})", next=command)

"""What Dagster knows of a manifest, asked of a process of its own: nothing here imports it, and it may not be there."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass

from beatsight_core.errors import BeatSightError, UsageError
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, from_json


@dataclass(frozen=True, slots=True)
class KnownPartition:
    """Everything that Dagster knows of a manifest.

    Attributes:
        registered: Keys of all manifests that are partitions.
        runs: Ids of runs of the manifest that are under way.
        source_sets: Source sets that only this manifest has.
        partition: Presence of the manifest's partition; None where Dagster was never used.
    """

    registered: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    source_sets: tuple[str, ...] = ()
    partition: bool | None = None


class Partitions:
    """The partitions of a manifest, if Dagster was ever used on this data root.

    Args:
        settings: Layout of the data root.
        manifest: The manifest, as typed.

    Raises:
        BeatSightError: Dagster's state cannot be read.
    """

    def __init__(self, settings: Settings, manifest: str):
        used = (settings.dagster_home / ".ready").exists() and importlib.util.find_spec("dagster") is not None
        self._settings, self._used = settings, used
        self._there = from_json(KnownPartition, json.loads(self._call("look", manifest))) if used else KnownPartition()

    @property
    def registered(self) -> list[str]:
        """Keys of all manifests that are partitions."""
        return list(self._there.registered)

    def require_at_rest(self, key: str) -> None:
        """Refuse to go on while runs of the manifest are under way.

        Raises:
            UsageError: Runs of the manifest are under way.
        """
        if runs := self._there.runs:
            raise UsageError(
                f"Runs of {key} are under way: {', '.join(runs)}",
                do="wait for them, or terminate them in the web UI; then run the same command again",
            )

    def remove(self, key: str) -> None:
        """Remove the partition, and those of source sets that only this manifest has."""
        if self._used:
            self._call("remove", key, given=json.dumps(self._there.source_sets))

    def to_json(self) -> JsonObject:
        """Return whether there is a partition (None where Dagster was never used), and the source sets that go."""
        return {"partition": self._there.partition, "source_sets": [*self._there.source_sets]}

    def _call(self, verb: str, key: str, given: str = "") -> str:
        command = [sys.executable, "-P", "-W", "ignore", "-m", "beatsight_dagster.forget", verb, "--", key]
        environment = {**os.environ, "BEATSIGHT_DATA_ROOT": str(self._settings.data_root)}
        done = subprocess.run(command, env=environment, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BeatSightError(
                "Dagster's state cannot be used",
                where=self._settings.dagster_home,
                why=last,
                do="look at the folder; then run the same command again",
            )
        return done.stdout

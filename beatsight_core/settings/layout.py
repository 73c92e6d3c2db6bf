"""Where everything lies: `Settings`, whose every path derives from the data root."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from beatsight_core.names import file_name
from beatsight_core.settings.sections import SettingsTables, SourceSet

SETTINGS_FILE = "beatsight.toml"

NAME_BYTES = 255
"""Longest name of a folder on the file systems that matter here."""

ENVIRONMENT_FOLDERS = {
    "dataset_dir": ("BEATSIGHT_DATASET_DIR", "datasets"),
    "cache_dir": ("BEATSIGHT_CACHE_DIR", "features"),
    "health_dir": ("BEATSIGHT_HEALTH_DIR", "reports/health"),
    "metrics_dir": ("BEATSIGHT_METRICS_DIR", "reports/metrics"),
    "run_root": ("BEATSIGHT_RUN_ROOT", "runs"),
    "wandb_root": ("BEATSIGHT_WANDB_ROOT", "wandb"),
}
"""Attribute -> environment variable that moves it, and its place under the data root."""

LAYOUT_VARIABLES = (
    "BEATSIGHT_DATA_ROOT", "BEATSIGHT_SECONDARY_ROOT", *(variable for variable, _ in ENVIRONMENT_FOLDERS.values()),
)  # fmt: skip
"""All variables that say where things are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SettingsTables):
    """Everything configured, resolved and checked: the tables of the settings file, and where everything lies.

    Attributes:
        data_root: Absolute folder that all else is derived from.
        dataset_dir: Shards and indexes.
        cache_dir: Feature caches, by spec digest.
        health_dir: Health reports.
        metrics_dir: Evaluation reports.
        run_root: Training runs.
        wandb_root: Tracking files.
        file: The settings file that was read, if there is one.
    """

    data_root: Path
    dataset_dir: Path
    cache_dir: Path
    health_dir: Path
    metrics_dir: Path
    run_root: Path
    wandb_root: Path
    file: Path | None = None

    @property
    def manifests_dir(self) -> Path:
        """The inbox that the sensor watches."""
        return self.data_root / "manifests"

    @property
    def catalog_dir(self) -> Path:
        """One folder per manifest, and the probe cache of the audio."""
        return self.data_root / "catalog"

    def catalog_folder(self, key: str) -> Path:
        """The catalog of a manifest: a folder of the manifest's key, never a hidden one."""
        plain = key[:1] not in ("", ".") and "/" not in key and "\0" not in key
        return self.catalog_dir / (key if plain else file_name(key))

    @property
    def shards_dir(self) -> Path:
        """Immutable shards, shared by all manifests."""
        return self.dataset_dir / "shards"

    @property
    def models_dir(self) -> Path:
        """Versions and the champion."""
        return self.data_root / "models"

    @property
    def dataset_pages_dir(self) -> Path:
        """A page per dataset."""
        return self.data_root / "reports" / "datasets"

    @property
    def archive_dir(self) -> Path:
        """Archived runs by day."""
        return self.data_root / "reports" / "archive"

    @property
    def alerts_dir(self) -> Path:
        """Alerts that wait, what became of others, and what is known of drives."""
        return self.data_root / "alerts"

    @property
    def dagster_home(self) -> Path:
        """Dagster's state."""
        return self.data_root / "dagster"

    def recast_folder(self, name: str) -> Path:
        """Where the platform keeps what it plays for a source set, apart from all recordings."""
        return self.data_root / "recast" / file_name(name)

    def source(self, name: str) -> SourceSet:
        """The source set of that name with its roots filled in; an unconfigured one gets the defaults.

        What the platform played for it comes first, if anything was: its paths are the platform's own.
        """
        known = self.sources.get(name) or SourceSet(name)
        played = self.recast_folder(name)
        first = (played,) if played.is_dir() and not (played.is_symlink() or played.parent.is_symlink()) else ()
        return dataclasses.replace(known, roots=(*first, *(known.roots or self._usual_roots(name))))

    def _usual_roots(self, name: str) -> tuple[Path, ...]:
        bases = [self.data_root] + ([self.secondary_root] if self.secondary_root else [])
        roots = [base / "raw" for base in bases]
        # A manifest's word never leads out of raw/, and a name that no folder can have is no error.
        if _can_be_a_folder(name):
            roots = [base / "raw" / name for base in bases] + roots
        return tuple(roots)


def _can_be_a_folder(name: str) -> bool:
    """Whether a folder can have a name, and is then below the one it is looked for in."""
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:
        return False
    return Path(name).name == name and name != ".." and "\0" not in name and length <= NAME_BYTES

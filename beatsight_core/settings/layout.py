"""Where everything lies: `Settings`, whose every path derives from the data root, and how paths are typed."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beatsight_core.names import file_name
from beatsight_core.settings.sections import (
    DatasetSettings,
    FeatureSettings,
    GateSettings,
    ReleaseSettings,
    SourceSet,
    TrackingSettings,
    WebSettings,
)
from beatsight_core.settings.typed_paths import typed_path

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


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything configured, resolved and checked.

    Attributes:
        data_root: Absolute folder that all else is derived from.
        secondary_root: A second drive whose `raw/` is searched after the first's.
        dataset_dir: Shards and indexes.
        cache_dir: Feature caches, by spec digest.
        health_dir: Health reports.
        metrics_dir: Evaluation reports.
        run_root: Training runs.
        wandb_root: Tracking files.
        taxonomy: Name of the component set.
        sources: Configured source sets by name; `source()` gives any.
        dataset: `[dataset]`.
        features: `[features]`.
        gates: `[gates]`.
        tracking: `[tracking]`.
        training: `[training.<preset>]`: overrides of a preset's values.
        release: `[release]`.
        web: `[web]`.
        file: The settings file that was read, if there is one.
    """

    data_root: Path
    dataset_dir: Path
    cache_dir: Path
    health_dir: Path
    metrics_dir: Path
    run_root: Path
    wandb_root: Path
    secondary_root: Path | None = None
    taxonomy: str = "core"
    sources: Mapping[str, SourceSet] = field(default_factory=dict)
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    features: FeatureSettings = field(default_factory=FeatureSettings)
    gates: GateSettings = field(default_factory=GateSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    release: ReleaseSettings = field(default_factory=ReleaseSettings)
    web: WebSettings = field(default_factory=WebSettings)
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


def resolve_path(text: str, base: Path, *, written: bool = False) -> Path:
    r"""An absolute path from what a person typed: `~`, `C:\folder` and `/mnt/c/folder` work on Windows and in WSL.

    Args:
        text: The path as typed.
        base: What a relative path is relative to.
        written: Whether something is to be written there, so that its drive must be mounted.

    Raises:
        UsageError: It means nothing on this system, or is to be written where no drive is.
    """
    return Path(os.path.abspath(base / typed_path(text, written=written)))  # noqa: PTH100 - keeps symbolic links as typed

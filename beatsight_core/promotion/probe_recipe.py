"""Is one run a probe of another? Of the same recipe, on the same data, and long enough to show anything.

A recipe is every training value but the number of epochs, the schedule, and what only carries a run out. Presets differ
in a few of those by design, as in the learning rate: there it counts whether a run has its own preset's value.
"""

import functools
from dataclasses import dataclass
from typing import Any

from beatsight_core.dataset.index import dataset_digest, index_paths, read_index
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.runs.presets import TrainingConfig, load_preset, preset_values
from beatsight_core.runs.records import Run
from beatsight_core.settings import PRESETS, Settings
from beatsight_core.taxonomy import taxonomy_named

PROBE_PRESET = "warmup"

COURSE = ("preset", "epochs", "schedule", "warmup_epochs", "min_lr", "plateau_patience", "plateau_factor")
"""Values of how long a run lasts and how its rate goes, which a probe never shares with what it is a probe of."""

CARRIED_OUT = (
    "residence", "processes", "checkpoint_epochs", "checkpoint_minutes", "compile", "cuda_graphs", "channels_last",
    "deterministic", "val_fraction", "val_minimum",
)  # fmt: skip
"""Values that say how a run is carried out and watched, and not what it learns."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a probe must be to count.

    Attributes:
        key: Key of the manifest.
        config: Configuration of the run that it is to be a probe of.
        dataset: Digest of the manifest's dataset as it is now.
        spec: Digest of the feature spec that settings name.
        classes: Components of the taxonomy that settings name, in class order.
        own: Preset -> its values as settings make them.
    """

    key: str
    config: TrainingConfig
    dataset: str
    spec: str
    classes: tuple[str, ...]
    own: dict[str, TrainingConfig]

    @classmethod
    def of(cls, settings: Settings, key: str, config: TrainingConfig) -> "Wanted":
        """Return what is asked for under these settings.

        Raises:
            DatasetError: An index cannot be read.
            SettingsError: A preset's values are wrong.
        """
        return cls(
            key=key,
            config=config,
            dataset=dataset_digest(read_index(path) for path in index_paths(settings, key)),
            spec=FeatureSpec.from_settings(settings).digest,
            classes=taxonomy_named(settings.taxonomy).components,
            own={name: load_preset(settings, name) for name in PRESETS},
        )

    @property
    def epochs(self) -> int:
        """Number of epochs that a probe must have been trained for at least."""
        return self.own[PROBE_PRESET].epochs

    def why_not(self, run: Run) -> str | None:
        """Return why a run does not count as the probe; None if it does."""
        if run.preset != PROBE_PRESET:
            return f"it is of preset {run.preset}"
        if run.trained_as != run.run_id:
            return "it was put aside"
        if run.status != "finished":
            return f"it is {run.status}"
        if wrong := self._other_data(run):
            return wrong
        if run.config.epochs < self.epochs:
            return f"it was trained for {_epochs(run.config.epochs)}, and the preset has {self.epochs}"
        differs = self.differences(run.config)
        return f"its recipe is another: {', '.join(differs)}" if differs else None

    def _other_data(self, run: Run) -> str | None:
        if run.key != self.key:
            return f"it learned from {run.key}"
        if run.dataset_digest != self.dataset:
            return "it learned from another state of the dataset"
        if run.spec.digest != self.spec:
            return "it learned from other features"
        return None if run.classes == self.classes else "it knows other components"

    def differences(self, probe: TrainingConfig) -> list[str]:
        """Return the values of a probe's recipe that are not those of the run, in words."""
        found = []
        ours, theirs = self.config.to_json(), probe.to_json()
        for name in sorted(set(ours) - {*COURSE, *CARRIED_OUT}):
            wanted = self._counterpart(name, ours[name])
            if theirs[name] not in (ours[name], wanted):
                found.append(f"{name} is {theirs[name]}, not {wanted}")
        return found

    def asked_of_probe(self) -> dict[str, Any]:
        """Return the values that a probe of this recipe must be given, beside those of its preset."""
        ours, plain = self.config.to_json(), self.own[PROBE_PRESET].to_json()
        recipe = sorted(set(ours) - {*COURSE, *CARRIED_OUT})
        asked = {name: self._counterpart(name, ours[name]) for name in recipe}
        return {name: value for name, value in asked.items() if value != plain[name]}

    def _counterpart(self, name: str, value: Any) -> Any:
        """What a value of the run would be in its probe: the probe preset's own where the run has its preset's own."""
        if name in _differing() and value == getattr(self.own[self.config.preset], name):
            return getattr(self.own[PROBE_PRESET], name)
        return value


def is_of_manifest(run: Run, key: str) -> bool:
    """Return whether a run is of a manifest or an earlier state of it: those are named where no probe counts."""
    return run.key.rpartition("-")[0] == key.rpartition("-")[0]


@functools.cache
def _differing() -> frozenset[str]:
    """Values that some preset ships with, so that presets differ in them."""
    return frozenset(name for preset in PRESETS for name in preset_values(preset))


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count != 1 else ''}"

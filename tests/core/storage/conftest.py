"""A data root with a small real corpus, and datasets of versions of it."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.dataset.export import ExportResult, export_dataset
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.runs.presets import load_preset
from beatsight_core.settings import Settings, load_settings

TOML = "[dataset]\nunit_hits = 4\nworkers = 1\n"
LABELS = ("kick", "snare", "hihat_closed", "crash")


class Place:
    """A data root whose manifests are chosen from twelve files of noise, three hits each."""

    def __init__(self, root: Path):
        self.root = root
        root.mkdir()
        (root / "beatsight.toml").write_text(TOML)
        self.settings: Settings = load_settings(root, environment={})
        rng = np.random.default_rng(5)
        (root / "raw" / "kits").mkdir(parents=True)
        for number in range(12):
            sf.write(self.audio(number), rng.uniform(-0.5, 0.5, 22050), 22050, subtype="PCM_16")

    def audio(self, number: int) -> Path:
        return self.root / "raw" / "kits" / f"take{number:02d}.wav"

    def manifest(self, name: str, files: Any, **fields: Any) -> Path:
        """Write a manifest over some of the files."""
        lines = [
            {
                "event_id": f"{number}-{place}",
                "session_id": f"session {number}",
                "source_set": "kits",
                "audio_path": self.audio(number).name,
                "onset_time": onset,
                "components": [{"label": LABELS[(number + place) % 4]}],
                **fields,
            }
            for number in files
            for place, onset in enumerate((0.1, 0.4, 0.7))
        ]
        path = self.settings.manifests_dir / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def export(self, name: str, files: Any, settings: Settings | None = None, **fields: Any) -> ExportResult:
        return export_dataset(settings or self.settings, self.manifest(name, files, **fields))

    def with_tail(self, tail_ms: float) -> Settings:
        """Other settings, hence other shards."""
        return dataclasses.replace(self.settings, dataset=dataclasses.replace(self.settings.dataset, tail_ms=tail_ms))

    def warm(self, result: ExportResult, spec: str = "a" * 40) -> list[Path]:
        """Files where the features of a dataset would lie."""
        paths = [
            self.settings.cache_dir / spec / f"{entry.digest}.core-1.safetensors"
            for index in result.indexes
            for entry in index.shards
        ]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 100)
        return paths

    @property
    def spec(self) -> FeatureSpec:
        """The features that the settings ask for."""
        return FeatureSpec.from_settings(self.settings)

    def learn(self, result: ExportResult, run: str = "warmup-run", n_mels: int = 64) -> Path:
        """The folder of a run that learned from a dataset, by features of its own."""
        spec = dataclasses.replace(self.spec, n_mels=n_mels)
        folder = self.settings.run_root / run
        folder.mkdir(parents=True)
        config = {
            "run_id": run,
            "preset": "warmup",
            "key": result.key,
            "source_sets": ["kits"],
            "config": load_preset(self.settings, "warmup", None).to_json(),
            "classes": list(LABELS),
            "spec": spec.to_json(),
            "digests": {"dataset": result.to_json()["dataset_digest"], "spec": spec.digest},
        }
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def shards(self) -> set[str]:
        return {path.stem for path in self.settings.shards_dir.glob("??/*.parquet")}


def named(result: ExportResult) -> set[str]:
    return {entry.digest for index in result.indexes for entry in index.shards}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data")


@pytest.fixture(name="named")
def named_fixture() -> Callable[[ExportResult], set[str]]:
    return named


@pytest.fixture
def beside_place() -> type[Place]:
    """For a place per example of a property."""
    return Place

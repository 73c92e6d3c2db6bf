"""A small real corpus: files of noise that differ, a manifest over them, and settings that pack a few hits per unit."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import soundfile as sf

from beatsight_core.dataset.export import ExportResult, export_dataset
from beatsight_core.settings import Settings


@dataclass
class Corpus:
    """Audio under raw/<source_set>, and events to be written as a manifest."""

    settings: Settings
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def manifest(self) -> Path:
        return self.settings.manifests_dir / "corpus.jsonl"

    def path(self, audio_path: str, source_set: str = "kits") -> Path:
        return self.settings.data_root / "raw" / source_set / audio_path

    def add_file(
        self,
        audio_path: str,
        onsets: list[float],
        *,
        source_set: str = "kits",
        seconds: float = 1.0,
        rate: int = 44100,
        channels: int = 1,
        subtype: str | None = None,
    ) -> np.ndarray:
        """Write a file of noise that is its own, with a kick at each onset; returns its samples."""
        seed = list(f"{source_set}/{audio_path}".encode())
        shape = (round(seconds * rate), channels)
        samples = np.random.default_rng(seed).uniform(-0.5, 0.5, shape)
        path = self.path(audio_path, source_set)
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, samples, rate, subtype=subtype)
        for onset in onsets:
            self.add_event(audio_path, onset, source_set=source_set)
        return samples

    def add_event(self, audio_path: str, onset: float, labels: tuple[str, ...] = ("kick",), **fields: Any) -> None:
        event = {
            "event_id": f"e{len(self.events):05d}",
            "session_id": audio_path,
            "source_set": "kits",
            "audio_path": audio_path,
            "onset_time": onset,
            "components": [{"label": label, "velocity": 0.5} for label in labels],
        }
        self.events.append(event | fields)

    def write(self) -> Path:
        self.manifest.parent.mkdir(parents=True, exist_ok=True)
        self.manifest.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in self.events))
        return self.manifest

    def export(self, **options: Any) -> ExportResult:
        """Write the manifest and export it, in this process unless told otherwise."""
        settings = options.pop("settings", self.settings)
        return export_dataset(settings, self.write(), **{"workers": 1} | options)

    def shard_files(self) -> dict[str, bytes]:
        """Name -> bytes of every file under the shards' folder."""
        return {path.name: path.read_bytes() for path in self.settings.shards_dir.rglob("*") if path.is_file()}


@pytest.fixture
def small(settings: Settings) -> Settings:
    """Settings with few hits per unit."""
    return dataclasses.replace(settings, dataset=dataclasses.replace(settings.dataset, unit_hits=4))


@pytest.fixture
def corpus(small: Settings) -> Corpus:
    """An empty corpus."""
    return Corpus(small)


@pytest.fixture
def several(corpus: Corpus) -> Corpus:
    """A corpus of 12 files with 3 hits each, in units of a few files."""
    for number in range(12):
        corpus.add_file(f"take{number:02d}.wav", [0.1, 0.4, 0.7])
    return corpus

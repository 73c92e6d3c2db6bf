"""Tiny real audio and a small corpus around it."""

from pathlib import Path

import numpy as np
import orjson
import pytest
import soundfile as sf

from beatsight_core.manifest.read_manifest import Catalog, build_catalog


@pytest.fixture
def noise():
    """(frames, channels) or (frames,) of noise, the same for the same seed."""

    def make(frames: int, channels: int = 1, seed: int = 0) -> np.ndarray:
        shape = frames if channels == 1 else (frames, channels)
        return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)

    return make


@pytest.fixture
def write_audio(noise):
    """Write noise as a file; returns the path."""

    def write(path: Path, frames: int = 4410, rate: int = 44100, channels: int = 1, subtype: str | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, noise(frames, channels), rate, subtype=subtype)
        return path

    return write


@pytest.fixture
def catalog(settings, data_root):
    """A catalog of (source_set, audio_path, onset_time) events, each an instant apart from the next."""

    def build(*events: tuple[str, str, float], name: str = "m") -> Catalog:
        manifest = data_root / "manifests" / f"{name}.jsonl"
        manifest.parent.mkdir(exist_ok=True)
        lines = [
            orjson.dumps(
                {
                    "event_id": f"e{number}",
                    "session_id": f"s-{path}",
                    "source_set": source_set,
                    "audio_path": path,
                    "onset_time": onset,
                    "components": [{"label": "kick"}],
                }
            )
            for number, (source_set, path, onset) in enumerate(events)
        ]
        manifest.write_bytes(b"\n".join(lines) + b"\n")
        return build_catalog(settings, manifest)

    return build

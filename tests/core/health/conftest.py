import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.settings import Settings, load_settings
from beatsight_core.taxonomy import CORE

RATE = 16000
SECONDS = 4.0
LABELS = ("kick", "snare", "hihat_closed", "crash")

CorpusMaker = Callable[..., Path]


def event(session: str, number: int, onset: float, *labels: str, **fields: Any) -> dict[str, Any]:
    components = [{"label": label, "velocity": 0.2 + 0.2 * (number % 4)} for label in labels]
    return {
        "event_id": f"{session}-{number}", "session_id": session, "source_set": "takes",
        "audio_path": f"{session}.wav", "onset_time": onset, "components": components, **fields,
    }  # fmt: skip


def take(session: str, hits: int = 12, **fields: Any) -> list[dict[str, Any]]:
    """A session of single strokes, and every fourth a kick with a crash."""
    rows = []
    for number in range(hits):
        labels = ("kick", "crash") if number % 4 == 3 else (LABELS[number % 4],)
        rows.append(event(session, number, 0.2 + 0.3 * number, *labels, **fields))
    return rows


def write_audio(settings: Settings, path: str, source: str = "takes", seconds: float = SECONDS) -> Path:
    """Noise that is struck anew every 100 ms, so that whatever `take` says sounds when it says so."""
    file = settings.data_root / "raw" / source / path
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path)).normal(0, 0.2, int(seconds * RATE))
    noise *= 0.02 + np.exp(-(np.arange(len(noise)) % (RATE // 10)) / (0.02 * RATE))
    sf.write(file, noise.astype(np.float32), RATE, subtype="PCM_16")
    return file


@pytest.fixture(scope="session")
def drums() -> SimpleNamespace:
    """Makers of events, sessions and audio."""
    return SimpleNamespace(event=event, take=take, write_audio=write_audio)


@pytest.fixture
def small_settings(data_root: Path) -> Settings:
    """Gates that a corpus of some dozen hits passes; all else is the production profile's."""
    counts = "\n".join(f"{label} = 0" for label in CORE.components)
    (data_root / "beatsight.toml").write_text(
        f"[dataset]\nsample_rate_hz = {RATE}\nworkers = 1\n[features]\nf_max_hz = 8000\n"
        f"[gates]\nrequired_techniques = []\n[gates.min_counts]\n{counts}\n"
    )
    return load_settings(data_root, {})


@pytest.fixture
def corpus(small_settings: Settings) -> CorpusMaker:
    """Write events as a manifest, and the audio of all files but those left out."""

    def write(events: list[Any], *, name: str = "small", without: tuple[str, ...] = ()) -> Path:
        small_settings.manifests_dir.mkdir(parents=True, exist_ok=True)
        path = small_settings.manifests_dir / f"{name}.jsonl"
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in events))
        rows = [row for row in events if isinstance(row, dict) and "audio_path" in row]
        for file, source in sorted({(row["audio_path"], row["source_set"]) for row in rows}):
            if file not in without:
                write_audio(small_settings, file, source)
        return path

    return write

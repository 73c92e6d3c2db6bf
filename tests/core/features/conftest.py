import json

import numpy as np
import pytest
import soundfile

from beatsight_core.dataset.export import export_dataset
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.settings import load_settings


@pytest.fixture
def tiny_spec():
    """80 ms clips at 8 kHz: 640 samples, 6 frames of 16 bands."""
    return FeatureSpec(
        sample_rate_hz=8000,
        pre_ms=20.0,
        tail_ms=60.0,
        n_fft=256,
        hop_length=128,
        n_mels=16,
        f_min_hz=20.0,
        f_max_hz=4000.0,
        storage="float16",
    )


@pytest.fixture
def strokes():
    """Twenty decaying noises of 640 samples, int16, peaks between 500 and 4000."""
    random = np.random.default_rng(3)
    decay = np.exp(-np.arange(640) / random.uniform(60, 300, (20, 1)))
    noise = random.normal(size=(20, 640)) * decay
    return (noise / np.abs(noise).max(axis=1, keepdims=True) * random.uniform(500, 4000, (20, 1))).astype(np.int16)


@pytest.fixture
def corpus(tmp_path):
    """A data root with three files of strokes at 8 kHz, their manifest, and settings that suit them."""
    root = tmp_path / "data"
    (root / "raw" / "made").mkdir(parents=True)
    (root / "manifests").mkdir()
    (root / "beatsight.toml").write_text(SETTINGS)
    random = np.random.default_rng(5)
    events = []
    for take in range(3):
        samples = random.normal(size=8000 * 3) * 0.01
        for beat in range(12):
            onset = 0.1 + 0.22 * beat
            start = round(onset * 8000)
            samples[start : start + 800] += random.normal(size=800) * np.exp(-np.arange(800) / 120.0) * 0.2
            labels = ["kick"] if beat % 3 == 0 else ["snare", "hihat_closed"] if beat % 3 == 1 else ["ride_bow"]
            events.append(
                {
                    "event_id": f"{take}-{beat}", "session_id": f"take{take}", "source_set": "made",
                    "audio_path": f"take{take}.wav", "onset_time": onset,
                    "components": [{"label": label} for label in labels],
                }
            )  # fmt: skip
        soundfile.write(root / "raw" / "made" / f"take{take}.wav", samples, 8000, subtype="PCM_16")
    manifest = root / "manifests" / "made.jsonl"
    manifest.write_text("".join(json.dumps(event) + "\n" for event in events))
    return root


@pytest.fixture
def exported(corpus):
    """Settings and key of the exported corpus."""
    settings = load_settings(corpus, {})
    return settings, export_dataset(settings, "made").key


SETTINGS = """
[dataset]
sample_rate_hz = 8000
pre_ms = 20.0
tail_ms = 60.0
unit_hits = 8
workers = 1
[features]
n_fft = 256
hop_length = 128
n_mels = 16
f_max_hz = 4000.0
"""

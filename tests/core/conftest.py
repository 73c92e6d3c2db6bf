"""A tiny trained run, made once a session by the platform itself: manifest, export, features, training."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from beatsight_core.settings import Settings, load_settings
from tests.garbage import all_here_stays

RATE = 8000
LABELS = ("kick", "snare", "hihat_closed", "crash")
WRONG_LABELS = 0.03
"""Share of strokes that are labelled as something else, so that even a good model makes mistakes."""

SETTINGS = """
[dataset]
sample_rate_hz = 8000
pre_ms = 20.0
tail_ms = 60.0
val_ratio = 0.3
calibration_ratio = 0.2
workers = 1
[features]
n_fft = 128
hop_length = 64
n_mels = 16
f_max_hz = 4000.0
[gates]
profile = "demo"
"""
FAST = {
    "model": "cnn_small", "epochs": 6, "lr": 5e-3, "warmup_epochs": 1, "batch": 16, "accumulation": 1,
    "augment_mix_probability": 0.3, "augment_noise_probability": 0.0, "augment_mask_probability": 0.0,
    "augment_eq_db": 0.0,
}  # fmt: skip


def stroke(label: str, rng: np.random.Generator) -> np.ndarray:
    """0.12 s of something that only this label sounds like."""
    time = np.arange(int(0.12 * RATE)) / RATE
    if label == "kick":
        return np.sin(2 * np.pi * 90 * time) * np.exp(-time * 25)
    if label == "snare":
        return np.sin(2 * np.pi * 700 * time) * np.exp(-time * 25)
    if label == "hihat_closed":
        return 0.5 * np.sin(2 * np.pi * 3300 * time) * np.exp(-time * 60)
    return 0.5 * np.sin(2 * np.pi * 2000 * time + rng.uniform(0, 6)) * np.exp(-time * 6)


def write_corpus(root: Path, *, sessions: int = 14, hits: int = 30, seed: int = 0, name: str = "tiny") -> Path:
    """Sessions of strokes, alone and together, with their manifest. Returns the manifest's path."""
    rng = np.random.default_rng(seed)
    lines = []
    for session in range(sessions):
        times = np.cumsum(rng.uniform(0.15, 0.25, hits))
        audio = rng.normal(0, 0.001, int((times[-1] + 0.3) * RATE))
        for number, time in enumerate(times):
            labels = rng.choice(LABELS, 1 + int(rng.random() < 0.25), replace=False)
            for place, label in enumerate(labels):
                velocity = float(rng.uniform(0.3, 1.0))
                heard = label if rng.random() > WRONG_LABELS else LABELS[(LABELS.index(label) + 1) % len(LABELS)]
                sound = 0.5 * velocity * stroke(heard, rng)
                start = int(time * RATE)
                audio[start : start + len(sound)] += sound
                lines.append(
                    {
                        "event_id": f"{name}-{session}-{number}-{place}",
                        "session_id": f"{name} session {session}",
                        "source_set": name,
                        "audio_path": f"{session:02d}.wav",
                        "onset_time": round(float(time + 0.001 * place), 6),
                        "components": [{"label": str(label), "velocity": velocity}],
                        "drummer_id": f"drummer {session % 3}",
                    }
                )
        path = root / "raw" / name / f"{session:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, np.clip(audio, -1, 1), RATE, subtype="PCM_16")
    manifest = root / "manifests" / f"{name}.jsonl"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


def prepare_and_train(settings: Settings, manifest: Path, **overrides: float) -> str:
    """Everything from the manifest to a finished run; returns its id."""
    import torch

    from beatsight_core.dataset.export import export_dataset
    from beatsight_core.features.build import build_features
    from beatsight_core.training.run import train

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine several threads wait for each other and are 20 times slower
    try:
        export_dataset(settings, manifest)
        build_features(settings, manifest, device="cpu")
        return train(settings, manifest, "warmup", overrides={**FAST, **overrides}, device="cpu").run_id
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data root with a finished run that passes the demo criteria, and the run's id. Not to be changed."""
    root = tmp_path_factory.mktemp("trained") / "data"
    root.mkdir()
    (root / "beatsight.toml").write_text(SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("BEATSIGHT_DATA_ROOT", "BEATSIGHT_RUN_ROOT", "WANDB_MODE"):
            patch.delenv(variable, raising=False)
        run_id = prepare_and_train(load_settings(root), write_corpus(root))
    all_here_stays()
    return root, run_id


@pytest.fixture
def trained(trained_once: tuple[Path, str], tmp_path: Path) -> tuple[Settings, str]:
    """Settings of a copy of the trained data root, and the run's id."""
    root, run_id = trained_once
    copy = tmp_path / "trained"
    shutil.copytree(root, copy)
    return load_settings(copy), run_id


@pytest.fixture(scope="session")
def train_once_more() -> Callable[..., str]:
    """Train a further run, with other values, on the corpus of a copied data root; its id."""

    def more(settings: Settings, **overrides: float) -> str:
        return prepare_and_train(settings, settings.manifests_dir / "tiny.jsonl", **overrides)

    return more


@pytest.fixture
def make_corpus() -> Callable[..., Path]:
    """Write another corpus and its manifest."""
    return write_corpus

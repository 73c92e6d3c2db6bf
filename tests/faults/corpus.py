"""A small corpus: two source sets of short noisy takes, a few of them faulty, and a manifest with some bad lines.

One export of it takes a fraction of a second and makes some forty shards.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

RATE_HZ = 8000
LABELS = ("kick", "snare", "hihat_closed", "crash")

SETTINGS = """
[sources.kits]
roots = ["{audio}/kits"]
[sources.loops]
roots = ["{audio}/loops"]
{more}
[dataset]
sample_rate_hz = 8000
pre_ms = 20.0
tail_ms = 60.0
unit_hits = 6
workers = 1
val_ratio = {val_ratio}
[features]
n_fft = 128
hop_length = 64
n_mels = {n_mels}
f_max_hz = 4000.0
[gates]
max_reject_rate = 1.0
"""


@dataclass(frozen=True)
class Corpus:
    """Audio and the lines of its manifest.

    Attributes:
        audio: Folder with a folder for each source set.
        lines: Of the manifest.
    """

    audio: Path
    lines: tuple[bytes, ...]

    def write_manifest(self, path: Path, share: float = 1.0) -> Path:
        """Write the first lines of the manifest."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(self.lines[: round(share * len(self.lines))]))
        return path

    def write_settings(self, root: Path, *, val_ratio: float = 0.2, n_mels: int = 16, more: str = "") -> None:
        """Write `beatsight.toml` into a data root."""
        root.mkdir(parents=True, exist_ok=True)
        text = SETTINGS.format(audio=self.audio, val_ratio=val_ratio, n_mels=n_mels, more=more)
        (root / "beatsight.toml").write_text(text)


def make_corpus(audio: Path, *, files: int = 36, seed: int = 0) -> Corpus:
    """Make audio and its events.

    Args:
        audio: The folder to fill.
        files: Takes; most have a shard of their own.
        seed: Of the noise.
    """
    rng = np.random.default_rng(seed)
    events: list[dict[str, Any]] = []
    for number in range(files):
        source = "loops" if number % 3 == 0 else "kits"
        name = f"take{number:03d}.{'flac' if number % 2 else 'wav'}"
        onsets = np.cumsum(rng.uniform(0.12, 0.2, 7 if number % 5 else 3))
        write_take(audio / source / name, onsets, rng)
        events += [_event(source, name, place, onset, rng) for place, onset in enumerate(onsets.tolist())]
    cut = audio / "kits" / "cut.wav"
    write_take(cut, np.array([0.2, 0.5]), rng)
    cut.write_bytes(cut.read_bytes()[:-2000])
    events += [_event("kits", name, 0, 0.2, rng) for name in ("cut.wav", "gone.wav")]
    lines = [json.dumps(event).encode() + b"\n" for event in events]
    lines[5:5] = [b"no JSON\n", b"\n", lines[2]]
    return Corpus(audio, tuple(lines))


def write_take(path: Path, onsets: np.ndarray, rng: np.random.Generator, rate_hz: int = RATE_HZ) -> None:
    """Write strokes of noise over a noise floor."""
    samples = rng.normal(0, 0.002, int((onsets[-1] + 0.3) * rate_hz))
    for onset in onsets:
        start = int(onset * rate_hz)
        stroke = rng.normal(0, 0.2, int(0.1 * rate_hz)) * np.exp(-np.arange(int(0.1 * rate_hz)) / (0.02 * rate_hz))
        samples[start : start + len(stroke)] += stroke
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.clip(samples, -1, 1), rate_hz, subtype="PCM_16")


def _event(source: str, name: str, place: int, onset: float, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "event_id": f"{source}-{name}-{place}",
        "session_id": f"{source} {name}",
        "source_set": source,
        "audio_path": name,
        "onset_time": round(onset, 6),
        "components": [{"label": str(rng.choice(LABELS)), "velocity": round(float(rng.uniform(0.2, 1)), 3)}],
        "techniques": ["flam"] if place % 4 == 0 else [],
    }

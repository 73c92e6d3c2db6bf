"""A training run on the features of a dataset. A run takes seconds, so a scenario of its own hurts it, not all of them.

What is compared is what was learned: weights, moments and averages bit for bit, the history with its learning rates,
thresholds, metrics. Left out are times of day and durations, and with them the bytes of files that hold some.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from beatsight_core.errors import BeatSightError, ModelError
from beatsight_core.settings import Settings
from tests.faults.lab import MANIFEST, DamagedError, Lab, View, content
from tests.faults.subjects.catalog import prepare_catalog
from tests.faults.subjects.export import EXPORT
from tests.faults.subjects.features import FEATURES, features_view

VALUES = {
    "epochs": 4, "batch": 8, "accumulation": 1, "least_steps": 0, "lr": 2e-3, "warmup_epochs": 1, "model": "cnn_small",
    "ema_decay": 0.9, "augment_mix_probability": 0.3, "augment_noise_probability": 0.3,
}  # fmt: skip
DURATIONS = ("seconds", "train_seconds", "clips_per_second", "data_wait_seconds", "clips", "cpu_share", "memory_bytes")
"""Of the history, and clips: those of a sitting, where the history's other figures are of the whole epoch."""

OF_METRICS = ("seconds", "clips_per_second")


def command(**values: Any) -> list[str]:
    """`beatsight train` with the values of this file, or others."""
    named = {**VALUES, **values}
    chosen = [word for name, value in named.items() for word in ("--set", f"{name}={value}")]
    return ["train", MANIFEST, "--device", "cpu", *chosen]


class TrainingSubject:
    """`beatsight train`.

    Args:
        name: In reports.
        values: Of its configuration, beside those of this file.
    """

    workers = 1

    def __init__(self, name: str, **values: Any):
        self.name, self._command = name, command(**values)

    def arguments(self, root: Path) -> list[str]:
        return self._command

    def prepare(self, lab: Lab, root: Path, state: str) -> None:
        prepare_catalog(lab, root, state, EXPORT, FEATURES, command(epochs=1))
        lab.must(EXPORT, root)
        lab.must(FEATURES, root)

    def look(self, settings: Settings) -> View:
        return {**features_view(settings), **runs_view(settings)}

    def pieces(self, root: Path) -> list[Path]:
        return []  # checkpoints make way for later ones

    def under_way(self, root: Path) -> list[Path]:
        return []

    def content(self, root: Path) -> dict[str, str]:
        """What lies in the root, runs by what they learned; an evaluation says when it was made."""
        apart = ("runs/", "reports/metrics/")
        files = {name: digest for name, digest in content(root).items() if not name.startswith(apart)}
        return {**files, **learned(root)}


def runs_view(settings: Settings) -> View:
    """What readers find of runs: what the finished ones learned; None for one that is under way.

    The history and the checkpoints of one under way must be whole, but tell different things at different times.
    """
    from beatsight_core.training import checkpoint
    from beatsight_core.training.run import list_runs

    view: dict[str, str | None] = {}
    try:
        for run in list_runs(settings):
            _ = run.history
            for _, path in checkpoint.last_checkpoints(run.folder / "checkpoints"):
                checkpoint.load(path)
            if run.checkpoint.exists():
                checkpoint.load(run.checkpoint)
            if run.status == "finished":
                view[f"run {run.run_id}"] = json.dumps(_of_run(run.folder))
    except (BeatSightError, ValueError) as error:
        raise DamagedError(f"runs: {error}") from error
    return view


def learned(root: Path) -> dict[str, str]:
    """What every run of a root has come to: part -> digest."""
    found = {}
    for config in sorted(root.glob("runs/*/config.json")):
        found |= {f"{config.parent.name} {part}": digest for part, digest in _of_run(config.parent).items()}
    return found


def _of_run(folder: Path) -> dict[str, str]:
    from beatsight_core.runs import records
    from beatsight_core.training import checkpoint

    newest = checkpoint.load_newest(folder / "checkpoints")
    parts: dict[str, Any] = {
        "config": json.loads((folder / "config.json").read_text()),
        "history": _without(records.read_history(folder)),
        "failure": (folder / "failure.json").exists(),
        "leftovers": [path.name for path in folder.rglob("*.tmp-*")],
    }
    if newest is not None:
        parts["last checkpoint"] = {**newest.state, "history": _without(newest.state["history"])}
    for name in ("thresholds.json", "curves.json", "metrics.json"):
        if (folder / name).exists():
            said = json.loads((folder / name).read_text())
            parts[name] = {key: value for key, value in said.items() if key not in OF_METRICS}
    try:
        parts["best"] = checkpoint.load(folder / "checkpoints" / "best.pt")
    except ModelError as error:
        parts["best"] = error.what
    return {name: _digest(part) for name, part in parts.items()}


def _without(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name not in DURATIONS} for record in history]


def _digest(value: Any) -> str:
    """Of nested tables, lists, plain values and tensors, bit for bit."""
    digest = hashlib.sha256()
    _feed(value, digest)
    return digest.hexdigest()


def _feed(value: Any, digest: Any) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    elif isinstance(value, dict):
        for name in sorted(value, key=str):
            digest.update(f"{name!r}:".encode())
            _feed(value[name], digest)
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(item, digest)
            digest.update(b",")
    else:
        digest.update(repr(value).encode())


BY_EPOCH = TrainingSubject("training")
"""A checkpoint after each epoch."""

BY_TIME = TrainingSubject("training, a checkpoint at every step", checkpoint_minutes=1e-9)
"""Checkpoints in the middle of epochs too."""

SUBJECTS: list[TrainingSubject] = []
"""For the other scenarios: none."""

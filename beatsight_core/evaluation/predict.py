"""A trained net, ready to be asked: from a run or from a promoted version, with its spec, classes and thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from beatsight_core.errors import ModelError
from beatsight_core.evaluation.lookup import ABOUT, COMPONENTS, SPEC, THRESHOLDS, WEIGHTS
from beatsight_core.features.cache import Features
from beatsight_core.features.device import torch_device
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import read_json
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.training import checkpoint
from beatsight_core.training.batches import ResidentClips
from beatsight_core.training.loop import predict_clips
from beatsight_core.training.model import build_model
from beatsight_core.training.records import Run

CHUNK_ROWS = 8192
"""Clips read from the cache at a time: 52 MB at 128 bands and 25 frames in half precision."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A net and all that its answers mean.

    Attributes:
        name: The run or version it came from.
        model: In evaluation mode, on `device`.
        spec: How its features are made.
        classes: Labels in class order.
        thresholds: (C,) a component is said from here on.
        device: Where it computes.
    """

    name: str
    model: nn.Module
    spec: FeatureSpec
    classes: tuple[str, ...]
    thresholds: npt.NDArray[np.float32]
    device: torch.device

    @classmethod
    def load(cls, source: Run | Path, device: str = "auto") -> "Predictor":
        """The net of a run (its best weights) or of a version's folder.

        Args:
            source: A run, or the folder of a version.
            device: auto, cpu, cuda or cuda:<n>.

        Raises:
            ModelError: A file is missing or broken, or the weights do not fit the net.
            DeviceError: The device is not there.
        """
        return _of_run(source, device) if isinstance(source, Run) else _of_version(source, device)

    def predict(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Probabilities of clips.

        Args:
            stored: (n, n_mels, frames) in the spec's storage, or in decibels.

        Returns:
            (n, C) in 0..1.
        """
        if len(stored) == 0:
            return np.zeros((0, len(self.classes)), dtype=np.float32)
        pictures = torch.from_numpy(np.ascontiguousarray(stored)).to(self.device)
        unknown = torch.zeros((len(stored), len(self.classes)), dtype=torch.uint8, device=self.device)
        return predict_clips(self.model, ResidentClips(pictures, unknown, self.spec.floor_db))

    def predict_rows(
        self, features: Features, rows: npt.NDArray[np.int64], progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """Probabilities of rows of the cache, (len(rows), C), in their order."""
        parts = [np.zeros((0, len(self.classes)), dtype=np.float32)]
        with (progress or SilentProgress()).task("predict", len(rows), "clips") as task:
            for start in range(0, len(rows), CHUNK_ROWS):
                chunk = rows[start : start + CHUNK_ROWS]
                parts.append(self.predict(features.read(chunk)))
                task.advance(len(chunk))
        return np.concatenate(parts)


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    """The best weights of a run, by their key names, on the CPU.

    Raises:
        ModelError: The checkpoint is missing or broken.
    """
    weights: dict[str, torch.Tensor] = checkpoint.load(run.checkpoint)["model"]
    return weights


def _of_run(run: Run, device: str) -> Predictor:
    thresholds = run.thresholds
    return _assembled(run.run_id, run.config.model, weights_of(run), run.spec, run.classes, thresholds, device)


def _of_version(folder: Path, device: str) -> Predictor:
    for name in (WEIGHTS, ABOUT, COMPONENTS, SPEC, THRESHOLDS):
        if not (folder / name).is_file():
            raise ModelError(f"A version lacks {name}", where=folder, do="promote its run again, or roll back")
    try:
        weights = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
        architecture = read_json(folder / ABOUT)["model"]
        classes = tuple(read_json(folder / COMPONENTS)["components"])
        spec = FeatureSpec.from_json(read_json(folder / SPEC)["spec"])
        named = read_json(folder / THRESHOLDS)["thresholds"]
        thresholds = np.array([named[label] for label in classes])
    except (KeyError, TypeError, RuntimeError, ValueError, EOFError) as error:
        raise ModelError("A version's files are broken", where=folder, why=repr(error), do="roll back") from error
    return _assembled(f"version {folder.name}", architecture, weights, spec, classes, thresholds, device)


def _assembled(
    name: str,
    architecture: str,
    weights: Mapping[str, torch.Tensor],
    spec: FeatureSpec,
    classes: Sequence[str],
    thresholds: npt.NDArray[Any],
    device: str,
) -> Predictor:
    place = torch_device(device)
    model = build_model(architecture, spec.n_mels, spec.frames, len(classes))
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ModelError(f"The weights of {name} do not fit the net {architecture!r}", why=str(error)) from error
    model = model.to(place, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return Predictor(name, model, spec, tuple(classes), np.asarray(thresholds, dtype=np.float32), place)

"""A trained net, ready to be asked: from a run or from a model's folder, with its spec, classes and thresholds."""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from beatsight_core.errors import ModelError
from beatsight_core.features.device import torch_device
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.runs.lookup import SAFE_WEIGHTS, WEIGHTS, ModelInfo, read_info
from beatsight_core.runs.records import Run
from beatsight_core.training import checkpoint
from beatsight_core.training.data.batches import ResidentClips
from beatsight_core.training.net.build_net import build_model
from beatsight_core.training.predicting import predict_clips

if TYPE_CHECKING:
    from beatsight_core.features.cache import Features

CHUNK_ROWS = 8192
"""Clips read from the cache at a time: 52 MB at 128 bands and 25 frames in half precision."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A net and all that its answers mean.

    Attributes:
        info: Description of the model and of what its answers mean.
        model: Net in evaluation mode, on `device`.
        device: Device that it computes on.
    """

    info: ModelInfo
    model: nn.Module
    device: torch.device

    @property
    def name(self) -> str:
        """Name of the run or version that it came from."""
        return self.info.name

    @property
    def spec(self) -> FeatureSpec:
        """Spec of the features that it takes."""
        return self.info.spec

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in class order."""
        return self.info.classes

    @property
    def thresholds(self) -> npt.NDArray[np.float32]:
        """Probability from which on each component is predicted, shape (C,)."""
        return self.info.thresholds

    @classmethod
    def load(cls, source: Run | Path, device: str = "auto") -> "Predictor":
        """Load the net of a run (its best weights) or of a model's folder.

        Args:
            source: Run, or folder of a model.
            device: Device to compute on: auto, cpu, cuda or cuda:<n>.

        Raises:
            ModelError: A file is missing or broken, or the weights do not fit the net.
            DeviceError: The device is not there.
        """
        return _of_run(source, device) if isinstance(source, Run) else _of_folder(source, device)

    @classmethod
    def of_checkpoint(cls, run: Run, path: Path, device: str = "auto") -> "Predictor":
        """Load the net of a run as it was at another of its checkpoints: what would have been judged then.

        Raises:
            ModelError: The checkpoint is missing or broken.
            DeviceError: The device is not there.
        """
        state = checkpoint.load(path)
        return _assembled(_info_of(run), state.get("average") or state["model"], device)

    def predict(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the probabilities of clips.

        Args:
            stored: Features of the clips in the spec's storage, or in decibels, shape (n, n_mels, frames).

        Returns:
            (n, C) in 0..1.
        """
        if len(stored) == 0:
            return np.zeros((0, len(self.classes)), dtype=np.float32)
        spectrograms = torch.from_numpy(np.ascontiguousarray(stored)).to(self.device)
        unknown = torch.zeros((len(stored), len(self.classes)), dtype=torch.uint8, device=self.device)
        return predict_clips(self.model, ResidentClips(spectrograms, unknown, self.spec.floor_db))

    def predict_rows(
        self, features: "Features", rows: npt.NDArray[np.int64], progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the probabilities of rows of the cache, (len(rows), C), in their order."""
        parts = [np.zeros((0, len(self.classes)), dtype=np.float32)]
        with (progress or SilentProgress()).task("predict", len(rows), "clips") as task:
            for start in range(0, len(rows), CHUNK_ROWS):
                chunk = rows[start : start + CHUNK_ROWS]
                parts.append(self.predict(features.read(chunk)))
                task.advance(len(chunk))
        return np.concatenate(parts)


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    """Return the best weights of a run, by their key names, on the CPU.

    Raises:
        ModelError: The checkpoint is missing or broken.
    """
    weights: dict[str, torch.Tensor] = checkpoint.load(run.checkpoint)["model"]
    return weights


def other_checkpoints(run: Run) -> list[Path]:
    """List the checkpoints that a run keeps beside its best, newest first; those of one step hold the same weights.

    Raises:
        ModelError: The best is missing or broken.
    """
    best = checkpoint.load_best(run.checkpoint)["step"]
    return [path for step, path in checkpoint.last_checkpoints(run.checkpoint.parent) if step != best]


def _of_run(run: Run, device: str) -> Predictor:
    return _assembled(_info_of(run), weights_of(run), device)


def _info_of(run: Run) -> ModelInfo:
    return ModelInfo(run.run_id, run.config.model, run.spec, run.classes, run.thresholds.astype(np.float32))


def _of_folder(folder: Path, device: str) -> Predictor:
    info = read_info(folder)
    found = next((folder / name for name in (SAFE_WEIGHTS, WEIGHTS) if (folder / name).is_file()), None)
    if found is None:
        raise ModelError(f"A model has neither {SAFE_WEIGHTS} nor {WEIGHTS}", where=folder, do="copy the whole folder")
    return _assembled(info, read_weights(found), device)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights in a `.safetensors` or `.pth` file, by their key names, on the CPU; no code in it is run.

    Raises:
        ModelError: The file of weights is broken.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        if not zipfile.is_zipfile(path):
            raise pickle.UnpicklingError("not what torch.save writes")
        weights: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError,
        pickle.UnpicklingError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise ModelError("A model's weights are broken", where=path, why=repr(error), do="copy it again") from error
    return weights


def _assembled(info: ModelInfo, weights: Mapping[str, torch.Tensor], device: str) -> Predictor:
    place = torch_device(device)
    model = build_model(info.architecture, info.spec, len(info.classes))
    try:
        model.load_state_dict(weights, strict=True)
    except (RuntimeError, TypeError, AttributeError, KeyError) as error:
        raise ModelError(
            f"The weights of {info.name} do not fit the net {info.architecture!r}", why=str(error)
        ) from error
    model = model.to(place, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return Predictor(info, model, place)

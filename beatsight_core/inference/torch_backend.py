"""The model in torch: the one log-mel, stored and decoded as in the cache, then the net. On a CPU or a CUDA device."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beatsight_core.errors import DeviceError
from beatsight_core.features.spec import StoredArray
from beatsight_core.inference.backend import Clips, Probabilities
from beatsight_core.runs.lookup import ModelInfo
from beatsight_core.runs.records import Run

CHUNK_CLIPS = 1024
"""Clips whose samples are cut at a time: 25 MB at 280 ms and 44.1 kHz."""


class TorchBackend:
    """A backend that answers by torch.

    Args:
        source: Run, or the folder of a model.
        device: Name of the device: auto, cpu, cuda or cuda:<n>.

    Raises:
        ModelError: A file is missing or broken, or the weights do not fit the net.
        DeviceError: torch is not installed, or the device is not there.
    """

    def __init__(self, source: Run | Path, device: str = "auto"):
        if find_spec("torch") is None:
            raise DeviceError(
                "The torch backend needs torch, which is not installed",
                do="pip install 'beatsight[train]', or ask for the other one: backend='onnx' (--backend onnx)",
            )
        from beatsight_core.evaluation.predict import Predictor
        from beatsight_core.features.logmel import LogMel

        self.predictor = Predictor.load(source, device)
        self._logmel = LogMel(self.predictor.spec).to(self.predictor.device)

    @property
    def info(self) -> ModelInfo:
        """The meaning of its answers."""
        return self.predictor.info

    def probabilities(self, clips: Clips) -> Probabilities:
        """Return what `Backend.probabilities` returns."""
        parts = [np.zeros((0, len(self.info.classes)), dtype=np.float32)]
        for start in range(0, len(clips), CHUNK_CLIPS):
            parts.append(self.predictor.predict(self._features(clips[start : start + CHUNK_CLIPS])))
        return np.concatenate(parts)

    def _features(self, clips: NDArray[np.int16]) -> StoredArray:
        from beatsight_core.features.logmel import features_of

        return features_of(self._logmel, clips, self.predictor.device)

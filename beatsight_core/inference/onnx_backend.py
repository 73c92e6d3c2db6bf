"""The model in onnxruntime. Its graph takes samples, as the log-mel is a part of it: torch is not even loaded."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from beatsight_core.errors import DeviceError, ModelError
from beatsight_core.inference.backend import Clips, Probabilities
from beatsight_core.runs.lookup import ONNX, read_info

INPUT = "clips"
BATCH = 32
"""Clips at a time: more are no faster on a CPU."""

_PCM16 = np.float32(1.0 / 32768.0)


class OnnxBackend:
    """A backend that answers by onnxruntime, on the CPU.

    Args:
        folder: Folder of a model.
        device: Name of the device, auto or cpu.

    Raises:
        ModelError: A file is missing or broken, or the graph is not one of this program.
        DeviceError: onnxruntime is not installed, or another device was asked for.
    """

    def __init__(self, folder: Path, device: str = "auto"):
        if find_spec("onnxruntime") is None:
            raise DeviceError(
                "The ONNX backend needs onnxruntime, which is not installed", do="pip install onnxruntime"
            )
        if device not in ("auto", "cpu"):
            raise DeviceError(
                f"The ONNX backend computes on the CPU, and {device} was asked for", do="use the torch backend there"
            )
        import onnxruntime as ort
        from onnxruntime.capi.onnxruntime_pybind11_state import NoSuchFile

        self.info = read_info(folder)
        try:
            self._session = ort.InferenceSession(folder / ONNX, providers=["CPUExecutionProvider"])
        except NoSuchFile as error:
            raise ModelError(f"A model lacks {ONNX}", where=folder, do="copy the whole folder") from error
        except Exception as error:  # its dozen classes have no class in common
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{ONNX} cannot be read", where=folder / ONNX, why=why, do="copy it again") from error
        asked = [each.name for each in self._session.get_inputs()]
        if asked != [INPUT]:
            raise ModelError(
                f"{ONNX} asks for {', '.join(asked) or 'nothing'}, not for {INPUT}",
                where=folder / ONNX,
                why="it was made by an earlier version of this program, whose graph began after the log-mel",
                do="write it again: beatsight models export RUN --to FOLDER; or use the torch backend",
            )

    def probabilities(self, clips: Clips) -> Probabilities:
        """Return what `Backend.probabilities` returns."""
        parts = [np.zeros((0, len(self.info.classes)), dtype=np.float32)]
        for start in range(0, len(clips), BATCH):
            samples = clips[start : start + BATCH].astype(np.float32) * _PCM16
            parts.append(self._session.run(None, {INPUT: samples})[0])
        return np.concatenate(parts)

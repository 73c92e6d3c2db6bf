"""Loading a classifier from a name or a folder."""

import os
from pathlib import Path

from beatsight_core.errors import ModelError, UsageError
from beatsight_core.inference.backend import Adaptation, Backend
from beatsight_core.inference.classifier import Classifier
from beatsight_core.inference.onnx_backend import OnnxBackend
from beatsight_core.inference.torch_backend import TorchBackend
from beatsight_core.runs.lookup import COMPONENTS, find_model, verified_folder
from beatsight_core.runs.records import Run
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import load_settings
from beatsight_core.settings.typed_paths import typed_path

BACKENDS = ("torch", "onnx")


def load(
    model: str | Path | Run | None = None,
    *,
    backend: str = "torch",
    device: str = "auto",
    data_root: str | Path | None = None,
    adapt: Adaptation | None = None,
) -> Classifier:
    """Load a model that can name drums.

    Args:
        model: Folder that holds a model (`models/versions/<n>`, what `beatsight models export` wrote, or a copy of
            either); or a name: "3" for a version, a run's id, a beginning of one, "latest", "previous", "challenger",
            or "champion", the default; or what `find` gave.
        backend: Name of the backend: "torch", or "onnx", which needs onnxruntime only, and a model's folder.
        device: Device of the torch backend: auto, cpu, cuda or cuda:<n>.
        data_root: Data root in which names are looked up; by default that of the settings. A folder needs none.
        adapt: Function that changes the probabilities of a whole recording (see `Adaptation`).

    Raises:
        ModelError: There is no such model, or its files are missing, altered or broken.
        DeviceError: The backend is not installed, or the device is not there.
        UsageError: There is no such backend.
    """
    if backend not in BACKENDS:
        raise UsageError(f"There is no backend {backend!r}", do=f"use one of {', '.join(BACKENDS)}")
    source = model if isinstance(model, Run) else find(model, data_root)
    return Classifier(_backend(source, backend, device), adapt)


def find(model: str | Path | None, data_root: str | Path | None = None) -> Run | Path:
    """Return the run, or the folder, that is meant (see `load`), with its files verified.

    Raises:
        ModelError: There is no such model, or its files are missing, altered or broken.
    """
    if model is not None and _is_folder(model):
        return verified_folder(typed_path(str(model)))
    try:
        return find_model(load_settings(data_root), None if model is None else str(model))
    except ModelError as error:
        if model is None or not Path(model).is_dir():
            raise
        why = f"the folder of that name here is none of a model: {COMPONENTS} is not in it"
        raise ModelError(error.what, where=error.where, why=why, do=error.do) from error


def _is_folder(model: str | Path) -> bool:
    """Whether a folder is meant, rather than a name: a path, or the name of a folder that holds a model."""
    if isinstance(model, Path) or any(mark in model for mark in (os.sep, "/", "\\")):
        return True
    return (Path(model) / COMPONENTS).is_file()


def _backend(source: Run | Path, backend: str, device: str) -> Backend:
    if backend == "torch":
        return TorchBackend(source, device)
    if isinstance(source, Run):
        raise ModelError(
            f"Run {source.run_id} has no ONNX form",
            where=source.folder,
            why="only an exported model has one",
            do=f"write one: beatsight models export {for_shell(source.run_id)} --to FOLDER, and load that folder",
        )
    return OnnxBackend(source, device)

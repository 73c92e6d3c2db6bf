"""A run's best weights in the forms that others load, and the proof, in a fresh process, that they do.

    model.pth            a plain state dict, `torch.load(weights_only=True)`
    model.safetensors    the same tensors under the same names
    model.onnx           decibels (clips, n_mels, frames) float32 -> probabilities (clips, components) float32
    components.json feature_spec.json thresholds.json config.json    what the numbers mean
    selftest.npz         some validation clips and what the trained net says about them

All forms carry the training hits' normalisation inside the net.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beatsight_core.evaluation.lookup import ABOUT, CHECKSUMS, COMPONENTS, SPEC, THRESHOLDS, WEIGHTS
from beatsight_core.features.cache import Features
from beatsight_core.files import atomic_folder, read_json, sha256_file, storage_errors, write_json
from beatsight_core.taxonomy import TAXONOMIES
from beatsight_core.training.records import Run

if TYPE_CHECKING:
    import torch
    from torch import nn

    from beatsight_core.evaluation.predict import Predictor

logger = logging.getLogger("beatsight")

SELFTEST = "selftest.npz"
SELFTEST_CLIPS = 32
FORMS = ("model.pth", "model.safetensors", "model.onnx")
ONNX_OPSET = 18
CHECK_SECONDS = 300


def export_run(trained: Run, features: Features) -> Path:
    """The export of a run's best weights: made once per checkpoint, in the run's folder.

    Args:
        trained: A finished run.
        features: Of its dataset, for the self-test's clips.

    Returns:
        `runs/<run id>/export/<12 hex of the checkpoint's digest>/`, complete.

    Raises:
        ModelError: The checkpoint is missing or broken.
    """
    folder = trained.folder / "export" / sha256_file(trained.checkpoint)[:12]
    if not _is_whole(folder):
        with atomic_folder(folder) as temporary:
            _write(temporary, trained, features)
            write_json(temporary / CHECKSUMS, {"sha256": checksums(temporary)})
    return folder


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, save the list of them."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS)
    return {path.name: sha256_file(path) for path in files}


def check_in_fresh_process(folder: Path) -> dict[str, Any]:
    """Load every form in a new Python process and ask it about the self-test's clips.

    Args:
        folder: An export, or a version.

    Returns:
        `differences` {form: greatest difference of a probability}; or `error`, what kept one from loading.
    """
    program = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(program), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "beatsight_core.promotion.check_export", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},  # a few clips: threads only cost time
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {CHECK_SECONDS} s"}
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it ended without a word"]
        return {"error": lines[-1][:500]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _is_whole(folder: Path) -> bool:
    """Whether an export is there as it was made; one that was altered since is removed, as it can be made again."""
    listed = read_json(folder / CHECKSUMS)["sha256"] if (folder / CHECKSUMS).is_file() else {}
    if listed and listed == checksums(folder):
        return True
    if folder.exists():
        logger.warning("an export was altered after it was made and is made again: %s", folder)
        with storage_errors(folder):
            shutil.rmtree(folder)
    return False


def _write(folder: Path, trained: Run, features: Features) -> None:
    import torch
    from safetensors.torch import save_file

    from beatsight_core.evaluation.predict import Predictor

    predictor = Predictor.load(trained, "cpu")
    weights = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in _state(predictor)}
    torch.save(weights, folder / WEIGHTS)
    save_file(weights, folder / "model.safetensors", metadata={"run_id": trained.run_id})
    _write_onnx(predictor, folder / "model.onnx")
    write_json(folder / ABOUT, {"model": trained.config.model, "run_id": trained.run_id, "preset": trained.preset})
    write_json(folder / COMPONENTS, components(trained.classes))
    write_json(folder / SPEC, spec_with_normalisation(predictor))
    named = {label: float(value) for label, value in zip(trained.classes, trained.thresholds, strict=True)}
    write_json(folder / THRESHOLDS, {"thresholds": named})
    rows = features.rows_of("val")
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, SELFTEST_CLIPS).astype(np.int64))]
    stored = features.read(chosen)
    np.savez(folder / SELFTEST, decibels=predictor.spec.to_decibels(stored), probabilities=predictor.predict(stored))


def components(classes: tuple[str, ...]) -> dict[str, Any]:
    """The class order, and the taxonomy that it is."""
    known = next((taxonomy for taxonomy in TAXONOMIES.values() if taxonomy.components == classes), None)
    return {
        "components": list(classes),
        "taxonomy": known.name if known else None,
        "taxonomy_version": known.version if known else None,
    }


def spec_with_normalisation(predictor: "Predictor") -> dict[str, Any]:
    """The feature spec, and the statistics that the net applies itself: (decibels - mean) * scale, per band."""
    weights = dict(_state(predictor))
    return {
        "spec": predictor.spec.to_json(),
        "digest": predictor.spec.digest,
        "frames": predictor.spec.frames,
        "normalisation": {
            "applied_by": "the model",
            "mean_db": weights["normalisation.mean"].tolist(),
            "scale": weights["normalisation.scale"].tolist(),
        },
    }


def _state(predictor: "Predictor") -> "Iterator[tuple[str, torch.Tensor]]":
    yield from predictor.model.state_dict().items()


def _write_onnx(predictor: "Predictor", path: Path) -> None:
    import torch

    net = _with_sigmoid(predictor.model).eval()
    example = torch.zeros(2, predictor.spec.n_mels, predictor.spec.frames)
    with _quiet():
        program = torch.onnx.export(
            net, (example,), input_names=["decibels"], output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("clips")},), opset_version=ONNX_OPSET, dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None  # it is None only for the exporter of old, which dynamo=True is not
    program.save(path, external_data=False)


def _with_sigmoid(model: "nn.Module") -> "nn.Module":
    from torch import nn

    return nn.Sequential(model, nn.Sigmoid())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes about its own insides and about packages that are not needed to itself."""
    notes = logging.getLogger("torch.onnx")
    level = notes.level
    notes.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        notes.setLevel(level)

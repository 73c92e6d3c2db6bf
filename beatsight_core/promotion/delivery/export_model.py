"""A run's best weights in the forms that others load, and the proof, in a fresh process, that they do.

    model.pth            a plain state dict, `torch.load(weights_only=True)`
    model.safetensors    the same tensors under the same names
    model.onnx           samples (clips, samples) float32 -> probabilities (clips, components) float32
    components.json feature_spec.json thresholds.json config.json    what the numbers mean
    selftest.npz         some validation clips (int16) and what the trained net says about them

All forms carry the training hits' normalisation inside the net; the ONNX graph holds the log-mel as well.
"""

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beatsight_core.dataset.reader import Dataset, open_dataset, shard_audio
from beatsight_core.errors import DatasetError, ModelError
from beatsight_core.files import atomic_folder, sha256_file, storage_errors, write_json
from beatsight_core.runs.lookup import (
    ABOUT,
    CHECKSUMS,
    COMPONENTS,
    ONNX,
    SAFE_WEIGHTS,
    SPEC,
    THRESHOLDS,
    WEIGHTS,
    ModelInfo,
    listed_digests,
    read_info,
)
from beatsight_core.runs.records import Run
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import TAXONOMIES

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("beatsight")

SELFTEST = "selftest.npz"
SELFTEST_CLIPS = 32
FORMS = (WEIGHTS, SAFE_WEIGHTS, ONNX)
FORMAT = 2
"""2: the graph takes samples, and the self-test holds them."""
CHECK_SECONDS = 300


def export_run(settings: Settings, trained: Run) -> Path:
    """The export of a run's best weights: made once per checkpoint, in the run's folder.

    Args:
        settings: Settings that say where its dataset lies, for the self-test's clips.
        trained: A finished run.

    Returns:
        `runs/<run id>/export/<12 hex of the checkpoint's digest>-<format>/`, complete.

    Raises:
        ModelError: The checkpoint is missing or broken, or the run is not finished.
        DatasetError: The dataset is missing, or was exported anew with other clips.
    """
    folder = trained.folder / "export" / f"{sha256_file(trained.checkpoint)[:12]}-{FORMAT}"
    if not _is_whole(folder):
        with atomic_folder(folder) as temporary:
            _write(temporary, trained, _some_clips(settings, trained))
            write_json(temporary / CHECKSUMS, {"sha256": checksums(temporary)})
    return folder


def not_of_run(trained: Run, export: Path) -> list[str]:
    """What an export holds that is not the run's: its checksums only say that nobody altered it in passing.

    Args:
        trained: The run.
        export: Whole by its checksums; that its forms agree with one another is for `check_in_fresh_process` to say.
    """
    import torch

    from beatsight_core.evaluation.predict import read_weights, weights_of

    info, own, found = read_info(export), weights_of(trained), read_weights(export / WEIGHTS)
    same = {
        "components": info.classes == trained.classes,
        "thresholds": np.array_equal(info.thresholds, trained.thresholds.astype(np.float32)),
        "feature spec": info.spec == trained.spec,
        "net": info.architecture == trained.config.model,
        "weights": set(found) == set(own) and all(torch.equal(found[name], tensor) for name, tensor in own.items()),
    }
    return [f"other {name}" for name, holds in same.items() if not holds]


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, save the list of them."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS)
    return {path.name: sha256_file(path) for path in files}


def check_in_fresh_process(folder: Path) -> dict[str, Any]:
    """Load every form in a new Python process and ask it about the self-test's clips.

    Args:
        folder: An export, or a version.

    Returns:
        `differences` {form: greatest difference of a probability}; or `error`, what kept one from loading. They are to
        stay within `criteria.TOLERANCE_EXPORT`.
    """
    program = Path(__file__).resolve().parents[3]
    paths = os.pathsep.join([str(program), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "beatsight_core.promotion.delivery.check_export", str(folder)]
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
    with contextlib.suppress(ModelError):
        if (folder / CHECKSUMS).is_file() and listed_digests(folder) == checksums(folder):
            return True
    if folder.exists():
        logger.warning("an export was altered after it was made and is made again: %s", folder)
        with storage_errors(folder):
            shutil.rmtree(folder)
    return False


def _write(folder: Path, trained: Run, clips: NDArray[np.int16]) -> None:
    import torch
    from safetensors.torch import save_file

    from beatsight_core.inference.torch_backend import TorchBackend
    from beatsight_core.promotion.delivery.onnx_graph import write_onnx

    backend = TorchBackend(trained, "cpu")
    info, state = backend.info, backend.predictor.model.state_dict()
    weights = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    torch.save(weights, folder / WEIGHTS)
    save_file(weights, folder / SAFE_WEIGHTS, metadata={"run_id": trained.run_id})
    write_onnx(backend.predictor, folder / ONNX)
    write_json(folder / ABOUT, {"model": info.architecture, "run_id": trained.run_id, "preset": trained.preset})
    write_json(folder / COMPONENTS, components(info.classes))
    write_json(folder / SPEC, spec_with_normalisation(info, weights))
    named = {label: float(value) for label, value in zip(info.classes, trained.thresholds, strict=True)}
    write_json(folder / THRESHOLDS, {"thresholds": named})
    np.savez(folder / SELFTEST, clips=clips, probabilities=backend.probabilities(clips))


def _some_clips(settings: Settings, trained: Run) -> NDArray[np.int16]:
    """Validation clips from all over the run's dataset, (n, samples)."""
    dataset = open_dataset(settings, trained.key, trained.source_sets)
    rows = np.flatnonzero((dataset.metadata()["split"] == "val").to_numpy())
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, SELFTEST_CLIPS).astype(np.int64))]
    clips = _clips_of(dataset, chosen)
    if clips.shape[1] != trained.spec.clip_samples:
        raise DatasetError(
            f"Clips of {clips.shape[1]} samples are no longer those that run {trained.run_id} learned from",
            where=trained.key,
            why=f"it learned from clips of {trained.spec.clip_samples}",
            do="set the dataset's settings back and export it again",
        )
    return clips


def _clips_of(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int16]:
    ends = np.cumsum([shard.rows for shard in dataset.shards])
    parts = []
    for number in np.unique(np.searchsorted(ends, rows, side="right")).tolist():
        shard = dataset.shards[number]
        mine = rows - (ends[number] - shard.rows)
        parts.append(shard_audio(shard)[mine[(mine >= 0) & (mine < shard.rows)]])
    return np.concatenate(parts)


def components(classes: tuple[str, ...]) -> dict[str, Any]:
    """The class order, and the taxonomy that it is."""
    known = next((taxonomy for taxonomy in TAXONOMIES.values() if taxonomy.components == classes), None)
    return {
        "components": list(classes),
        "taxonomy": known.name if known else None,
        "taxonomy_version": known.version if known else None,
    }


def spec_with_normalisation(info: ModelInfo, weights: "dict[str, torch.Tensor]") -> dict[str, Any]:
    """The feature spec, and what the net does with decibels first.

    With statistics of the training hits: (decibels - mean) * scale, per band. A net without any counts from the onset.
    """
    named = {"mean_db": "normalisation.mean", "scale": "normalisation.scale"}
    statistics = {name: weights[key].tolist() for name, key in named.items() if key in weights}
    return {
        "spec": info.spec.to_json(),
        "digest": info.spec.digest,
        "frames": info.spec.frames,
        "normalisation": {"applied_by": "the model", "reference": "bands" if statistics else "onset", **statistics},
    }

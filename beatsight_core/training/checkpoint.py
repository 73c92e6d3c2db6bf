"""Checkpoints: the last few of a run, and the best. A file is written whole, and read only if its digest agrees.

A checkpoint is a dict that `torch.load(weights_only=True)` reads (`CheckpointState`). It holds all that a run needs to
go on, and the identity of the run. `best.pt` holds the `model` with the same key names, the identity of the run, and
the metrics that it was chosen by.
"""

import hashlib
import io
import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

import torch

from beatsight_core.compute.trouble import device_trouble
from beatsight_core.errors import ModelError
from beatsight_core.files import sha256_file, storage_errors, write_bytes, write_text
from beatsight_core.runs.records import EpochRecord, RunIdentity
from beatsight_core.training.machine.randomness import RandomState

logger = logging.getLogger("beatsight")

FORMAT = "beatsight-checkpoint/1"
KEEP = 3
BEST = "best.pt"
LATEST = "latest"

PARTS = (
    "model",
    "average",
    "optimizer",
    "scaler",
    "plateau",
    "rng",
    "progress",
    "steps_per_epoch",
    "steps",
    "rng_of_others",
    "history",
    "best",
    "kept",
)
"""What a run needs to go on."""

_OF_BEST = ("model", "step", "metrics")

_NAME = re.compile(r"^epoch-(\d+)-step-(\d+)\.pt$")

Weights = dict[str, torch.Tensor]
"""Tensors of a net by their names in its state dict."""


class BestEpoch(TypedDict, total=False):
    """The epoch whose weights are kept; empty before the first.

    Attributes:
        epoch: Number of the epoch, from 1.
        accuracy: Accuracy on the validation clips.
        loss: Loss on the validation clips.
    """

    epoch: int
    accuracy: float
    loss: float


class KeptWeights(TypedDict, total=False):
    """The best weights so far; empty before the first epoch.

    Attributes:
        model: Weights of the net.
        metrics: Epoch that they were chosen by.
        step: Step that they are of.
    """

    model: Weights
    metrics: BestEpoch
    step: int


class BestState(RunIdentity, KeptWeights, total=False):
    """The content of `best.pt`: the best weights and the identity of their run."""


class CheckpointState(RunIdentity, total=False):
    """The content of a checkpoint: the identity of its run, and all that it needs to go on.

    Names are those of the format on disk. `PARTS` lists those that a run needs to go on.

    Attributes:
        model: Weights of the net in training.
        average: Weights of the moving average; None without one.
        optimizer: State dict of the optimizer.
        scaler: State dict of the gradient scaler.
        plateau: Values of `schedule.Plateau`.
        rng: Random state of the first process.
        rng_of_others: Random states of the other processes.
        progress: Values of `loop.Position`, which with the seed give the position in the data's order.
        steps: Batch, rate and the like, as decided when the run began. `pieces` is the number of micro-batches that a
            batch is cut into.
        steps_per_epoch: Number of steps of an epoch.
        history: Lines of `history.jsonl` up to this step.
        best: Epoch whose weights are kept.
        kept: Best weights so far.
    """

    model: Weights
    average: Weights | None
    optimizer: dict[str, Any]
    scaler: dict[str, float]
    plateau: dict[str, Any]
    rng: RandomState
    rng_of_others: list[RandomState]
    progress: dict[str, Any]
    steps: dict[str, Any]
    steps_per_epoch: int
    history: list[EpochRecord]
    best: BestEpoch
    kept: KeptWeights


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint that was read from disk.

    Attributes:
        state: Content of the checkpoint.
        path: File of the checkpoint.
    """

    state: CheckpointState
    path: Path


def save_checkpoint(folder: Path, state: CheckpointState, epoch: int, step: int) -> Path:
    """Write a checkpoint and delete the oldest beyond `KEEP`.

    Args:
        folder: Folder `checkpoints` of the run.
        state: Content of the checkpoint.
        epoch: Number of complete epochs.
        step: Number of complete steps of the optimizer.

    Raises:
        StorageError: The drive is full, read-only, or gone; the other checkpoints are then as they were.
    """
    path = folder / f"epoch-{epoch:04d}-step-{step:08d}.pt"
    _write(path, state)
    write_text(folder / LATEST, path.name + "\n")
    for _, old in last_checkpoints(folder)[KEEP:]:
        with storage_errors(old):
            old.unlink(missing_ok=True)
            _sidecar(old).unlink(missing_ok=True)
    return path


def save_best(folder: Path, state: BestState) -> Path:
    """Replace the best weights."""
    path = folder / BEST
    _write(path, state)
    return path


def is_best(folder: Path, kept: KeptWeights) -> bool:
    """Return whether `best.pt` is whole and of the step that `kept` is of."""
    try:
        return load_best(folder / BEST)["step"] == kept["step"]
    except ModelError:
        return False


def last_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return the steps and files of the last checkpoints, newest first."""
    found = [(match, path) for path in folder.glob("epoch-*.pt") if (match := _NAME.match(path.name))]
    return sorted(((int(match[2]), path) for match, path in found), reverse=True)


def load_newest(folder: Path) -> StoredCheckpoint | None:
    """Return the newest checkpoint that is whole; None if there never was one.

    Raises:
        ModelError: All checkpoints of the run are broken.
    """
    files = last_checkpoints(folder)
    for _, path in files:
        try:
            return StoredCheckpoint(load(path), path)
        except ModelError as error:
            logger.warning("falling back to an older checkpoint: %s", error)
    if files:
        raise ModelError(
            f"None of {len(files)} checkpoints is whole", where=folder, do="start the run again with --fresh"
        )
    return None


def load_best(path: Path, device: str = "cpu") -> BestState:
    """Read a `best.pt`, if its digest agrees.

    Raises:
        ModelError: The checkpoint is missing, broken, or of another format.
    """
    return cast(BestState, load(path, device))


def load(path: Path, device: str = "cpu") -> CheckpointState:
    """Read one checkpoint, if its digest agrees.

    Raises:
        ModelError: The checkpoint is missing, broken, or of another format.
    """
    if not path.is_file() or not _sidecar(path).is_file():
        raise ModelError("A checkpoint is missing", where=path, why="it or its digest is not there", do=_DO)
    with storage_errors(path):
        expected = _sidecar(path).read_text(encoding="utf-8", errors="replace").split()
    if sha256_file(path) not in expected:
        raise ModelError("A checkpoint is broken", where=path, why="its digest differs", do=_DO)
    content = _unpacked(path, device)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError("A checkpoint has another format", where=path, why=f"{FORMAT} is expected", do=_DO)
    needed = _OF_BEST if path.name == BEST else ("model",)
    if lacking := [name for name in needed if name not in content]:
        raise ModelError("A checkpoint is not complete", where=path, why=f"it lacks {', '.join(lacking)}", do=_DO)
    return cast(CheckpointState, content)


def _unpacked(path: Path, device: str) -> Any:
    """Return what a file of torch holds.

    Raises:
        ModelError: The file is no checkpoint, though its digest agrees.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        if isinstance(error, OSError | MemoryError) or device_trouble(error):
            raise
        # A file that is none of torch's fails in any way: as a bad archive, a bad pickle, an unknown class.
        why = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise ModelError("A checkpoint is no file of torch", where=path, why=why, do=_DO) from error


def check_belongs(found: StoredCheckpoint, identity: RunIdentity) -> None:
    """Refuse a checkpoint of another run, naming what differs, or one that lacks what is needed to go on.

    Raises:
        ModelError: The checkpoint is of another run, or lacks a part.
    """
    check_complete(found)
    if wrong := differences({name: found.state.get(name) for name in identity}, identity):
        why = "differ: " + "; ".join(wrong)
        raise ModelError("A checkpoint is of another run", where=found.path, why=why, do="start again with --fresh")


def check_complete(found: StoredCheckpoint) -> None:
    """Refuse a checkpoint that lacks a part that a run needs to go on.

    Raises:
        ModelError: The checkpoint lacks a part.
    """
    if lacking := [name for name in PARTS if name not in found.state]:
        why = f"an earlier version wrote it: {', '.join(lacking)} are not in it"
        raise ModelError("A checkpoint is not complete", where=found.path, why=why, do="start again with --fresh")


def differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the keys in which two tables differ, with both values, as "config.lr (0.002 there, 0.001 here)"."""
    found = []
    for name in dict.fromkeys([*there, *here]):
        old, new = there.get(name), here.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name} ({_brief(old)} there, {_brief(new)} here)")
    return found


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


_DO = "resume from another one, or start the run again with --fresh"


def _write(path: Path, state: CheckpointState | BestState) -> None:
    buffer = io.BytesIO()
    torch.save(_plain({"format": FORMAT, **state}), buffer)
    data = buffer.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    # Between these writes the file is the old one or the new one, and the sidecar vouches for both.
    before = sha256_file(path) if path.exists() else None
    if before not in (None, digest):
        write_text(_sidecar(path), f"{before}  {path.name}\n{digest}  {path.name}\n")
    elif before is None:
        write_text(_sidecar(path), f"{digest}  {path.name}\n")
    write_bytes(path, data)
    write_text(_sidecar(path), f"{digest}  {path.name}\n")


def _plain(value: Any) -> Any:
    """The same in plain dicts and lists, equal texts being one object: then the same content is the same bytes."""
    if isinstance(value, str):
        return sys.intern(str(value))
    if isinstance(value, Mapping):
        return {_plain(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")

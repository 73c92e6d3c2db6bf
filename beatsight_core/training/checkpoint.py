"""Checkpoints: a ring of the last few, and the best. Written whole, digested, and never read unless the digest agrees.

A checkpoint is a dict that `torch.load(weights_only=True)` reads, and holds all that a run needs to go on: `model`
(weights by their key names), `average`, `optimizer`, `scaler`, `plateau`, `rng` (of every kind), `progress` (epoch and
step, which with the seed give the place in the data's order), `steps` (batch, rate and the like, as decided when the
run began), `steps_per_epoch`, `history`, `best` and `kept` (the best weights so far); and what it belongs to: `config`,
`classes`, `spec`, `digests` of dataset and spec, `run_id`, `format`. `best.pt` has `model` with the same key names,
what it belongs to, and the metrics it was chosen by.
"""

import hashlib
import io
import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from beatsight_core.compute.trouble import device_trouble
from beatsight_core.errors import ModelError
from beatsight_core.files import sha256_file, storage_errors, write_bytes, write_text

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

State = dict[str, Any]


def save_checkpoint(folder: Path, state: State, epoch: int, step: int) -> Path:
    """Add a checkpoint to the ring and drop the oldest beyond `KEEP`.

    Args:
        folder: The run's `checkpoints`.
        state: What to keep.
        epoch: Epochs that are complete.
        step: Steps of the optimizer that are.

    Raises:
        StorageError: The drive is full, read-only, or gone; the ring is then as it was.
    """
    path = folder / f"epoch-{epoch:04d}-step-{step:08d}.pt"
    _write(path, state)
    write_text(folder / LATEST, path.name + "\n")
    for _, old in ring(folder)[KEEP:]:
        with storage_errors(old):
            old.unlink(missing_ok=True)
            _sidecar(old).unlink(missing_ok=True)
    return path


def save_best(folder: Path, state: State) -> Path:
    """Replace the best weights."""
    path = folder / BEST
    _write(path, state)
    return path


def is_best(folder: Path, kept: State) -> bool:
    """Whether `best.pt` is whole and of the step that `kept` is of."""
    try:
        return bool(load(folder / BEST)["step"] == kept["step"])
    except ModelError:
        return False


def ring(folder: Path) -> list[tuple[int, Path]]:
    """The steps and files of the ring, newest first."""
    found = [(match, path) for path in folder.glob("epoch-*.pt") if (match := _NAME.match(path.name))]
    return sorted(((int(match[2]), path) for match, path in found), reverse=True)


def load_newest(folder: Path) -> tuple[State, Path] | None:
    """The newest checkpoint of the ring that is whole, and its file; None if there never was one.

    Raises:
        ModelError: There are some and all of them are broken.
    """
    files = ring(folder)
    for _, path in files:
        try:
            return load(path), path
        except ModelError as error:
            logger.warning("falling back to an older checkpoint: %s", error)
    if files:
        raise ModelError(
            f"None of {len(files)} checkpoints is whole", where=folder, do="start the run again with --fresh"
        )
    return None


def load(path: Path, device: str = "cpu") -> State:
    """Read one checkpoint, if its digest agrees.

    Raises:
        ModelError: It is missing, broken, or of another format.
    """
    if not path.is_file() or not _sidecar(path).is_file():
        raise ModelError("A checkpoint is missing", where=path, why="it or its digest is not there", do=_DO)
    with storage_errors(path):
        expected = _sidecar(path).read_text(encoding="utf-8", errors="replace").split()
    if sha256_file(path) not in expected:
        raise ModelError("A checkpoint is broken", where=path, why="its digest differs", do=_DO)
    state = _unpacked(path, device)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ModelError("A checkpoint has another format", where=path, why=f"{FORMAT} is expected", do=_DO)
    needed = _OF_BEST if path.name == BEST else ("model",)
    if lacking := [name for name in needed if name not in state]:
        raise ModelError("A checkpoint is not complete", where=path, why=f"it lacks {', '.join(lacking)}", do=_DO)
    return state


def _unpacked(path: Path, device: str) -> Any:
    """What a file of torch holds.

    Raises:
        ModelError: It is no such file, though its digest agrees.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        if isinstance(error, OSError | MemoryError) or device_trouble(error):
            raise
        # A file that is none of torch's fails in any way: as a bad archive, a bad pickle, an unknown class.
        why = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise ModelError("A checkpoint is no file of torch", where=path, why=why, do=_DO) from error


def check_belongs(state: State, identity: Mapping[str, Any], path: Path) -> None:
    """Refuse a checkpoint of another run, naming what differs, or one that lacks what is needed to go on.

    Raises:
        ModelError: It is one of these.
    """
    check_complete(state, path)
    if wrong := differences({name: state.get(name) for name in identity}, identity):
        why = "differ: " + "; ".join(wrong)
        raise ModelError("A checkpoint is of another run", where=path, why=why, do="start again with --fresh")


def check_complete(state: State, path: Path) -> None:
    """Refuse a checkpoint that lacks a part that a run needs to go on.

    Raises:
        ModelError: It does.
    """
    if lacking := [name for name in PARTS if name not in state]:
        why = f"an earlier version wrote it: {', '.join(lacking)} are not in it"
        raise ModelError("A checkpoint is not complete", where=path, why=why, do="start again with --fresh")


def differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The keys in which two tables differ, with both values, as "config.lr (0.002 there, 0.001 here)"."""
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


def _write(path: Path, state: State) -> None:
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

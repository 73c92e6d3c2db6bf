"""A longer schedule than the one a run was made with: a new run that goes on from the other's newest checkpoint.

The learning rate of a step follows from the configuration alone, so with more epochs it is another one at the same
step: after a cosine that has come down it rises again. That is why it has to be asked for. The new run takes each step,
from the first of its own on, at the rate of a run that was planned with so many epochs from the start.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beatsight_core.errors import ModelError, UsageError
from beatsight_core.files import read_json, sha256_file
from beatsight_core.runs import records
from beatsight_core.runs.presets import TrainingConfig
from beatsight_core.runs.records import Extension, RunIdentity
from beatsight_core.settings import Settings
from beatsight_core.training import checkpoint
from beatsight_core.training.checkpoint import CheckpointState, StoredCheckpoint
from beatsight_core.training.schedule import Plateau, learning_rate
from beatsight_core.training.steps_plan import with_resolved

logger = logging.getLogger("beatsight")

OWN = ("run_id", "extends")
"""Names in the identity that a run does not share with the one that it extends, beside the number of epochs."""


def begin(settings: Settings, identity: RunIdentity, folder: Path) -> RunIdentity:
    """Give a run that has not begun the checkpoint of the run that it extends.

    Args:
        settings: Settings with the folder of the runs.
        identity: Identity of the new run; `extends` names the other.
        folder: Folder of the new run.

    Returns:
        The identity with all of `extends`.

    Raises:
        ModelError: The other run has no whole checkpoint, or differs in more than the number of epochs.
        UsageError: The schedule of the other run is not shorter.
    """
    parent = records.open_run(settings, identity["extends"]["run_id"])
    found = checkpoint.load_newest(parent.folder / records.CHECKPOINTS)
    if found is None:
        raise ModelError(f"Run {parent.run_id} has no checkpoint to go on from", where=parent.folder, do="train it")
    checkpoint.check_complete(found)
    _check_same(found, identity)
    state = found.state
    progress, old = state["progress"], TrainingConfig.from_json(state["config"])
    new = TrainingConfig.from_json(identity["config"])
    if new.epochs <= old.epochs:
        why = f"{new.epochs} epochs are asked for, and its schedule has {old.epochs}"
        raise UsageError(f"Run {parent.run_id} cannot be extended", why=why, do=f"--set epochs={2 * old.epochs}")
    rates = _rates(state, old, new)
    extends: Extension = {
        "run_id": parent.run_id, "checkpoint": sha256_file(found.path), "epochs": old.epochs,
        "epoch": int(progress["epoch"]), "step": int(progress["step"]), "rate_there": rates[0], "rate_here": rates[1],
    }  # fmt: skip
    logger.info(
        "extending %s from epoch %d, step %d: the learning rate goes on at %.3g, as in a schedule of %d epochs; "
        "in the schedule of %d it had come to %.3g",
        parent.run_id, progress["epoch"], progress["step"], rates[1], new.epochs, old.epochs, rates[0],
    )  # fmt: skip
    complete: RunIdentity = {**identity, "extends": extends}
    target = folder / records.CHECKPOINTS
    checkpoint.save_checkpoint(target, {**state, **complete}, extends["epoch"], extends["step"])
    return complete


def shorter(settings: Settings, identity: RunIdentity) -> str | None:
    """Return a run of the same configuration and data with fewer epochs, which `--extend` would go on from."""
    wanted = _but_for_epochs(identity)
    for run in records.list_runs(settings):
        config = read_json(run.folder / records.CONFIG)
        other = {name: config.get(name) for name in identity}  # it may say more, as how clips were drawn
        if other["config"]["epochs"] < identity["config"]["epochs"] and _but_for_epochs(other) == wanted:
            return run.run_id
    return None


def _check_same(found: StoredCheckpoint, identity: RunIdentity) -> None:
    there = _but_for_epochs({name: found.state.get(name) for name in identity})
    if wrong := checkpoint.differences(there, _but_for_epochs(identity)):
        raise ModelError(
            "A run can be extended only by one that differs in its number of epochs", where=found.path,
            why="these differ: " + "; ".join(wrong), do="name the preset and the values that it was made with",
        )  # fmt: skip


def _but_for_epochs(identity: Mapping[str, Any]) -> dict[str, Any]:
    shared = {name: value for name, value in identity.items() if name not in OWN}
    return {**shared, "config": {name: value for name, value in shared["config"].items() if name != "epochs"}}


def _rates(state: CheckpointState, old: TrainingConfig, new: TrainingConfig) -> tuple[float, float]:
    """Return the learning rate of the checkpoint's last step, and that of the next step in the longer schedule."""
    step, per_epoch, plateau = state["progress"]["step"], state["steps_per_epoch"], Plateau(**state["plateau"])
    before, after = (with_resolved(config, state["steps"]) for config in (old, new))
    return learning_rate(before, max(step - 1, 0), per_epoch, plateau), learning_rate(after, step, per_epoch, plateau)

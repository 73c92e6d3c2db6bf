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
from beatsight_core.settings import Settings
from beatsight_core.training import checkpoint
from beatsight_core.training.schedule import Plateau, learning_rate
from beatsight_core.training.steps_plan import with_resolved

logger = logging.getLogger("beatsight")

OWN = ("run_id", "extends")
"""What a run that extends another does not share with it, beside the number of epochs."""


def begin(settings: Settings, identity: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Give a run that has not begun the checkpoint of the run that it extends.

    Args:
        settings: Where runs lie.
        identity: Of the new run; `extends` names the other.
        folder: Of the new run.

    Returns:
        The identity with all of `extends`: `run_id`, `checkpoint` (its digest), `epochs` of the other's schedule, the
        `epoch` and `step` that it had come to, and the learning rates of that step by either schedule.

    Raises:
        ModelError: The other run has no whole checkpoint, or differs in more than the number of epochs.
        UsageError: Its schedule is not shorter.
    """
    parent = records.open_run(settings, identity["extends"]["run_id"])
    found = checkpoint.load_newest(parent.folder / records.CHECKPOINTS)
    if found is None:
        raise ModelError(f"Run {parent.run_id} has no checkpoint to go on from", where=parent.folder, do="train it")
    state, path = found
    checkpoint.check_complete(state, path)
    _check_same(state, identity, path)
    progress, old = state["progress"], TrainingConfig.from_json(state["config"])
    new = TrainingConfig.from_json(identity["config"])
    if new.epochs <= old.epochs:
        why = f"{new.epochs} epochs are asked for, and its schedule has {old.epochs}"
        raise UsageError(f"Run {parent.run_id} cannot be extended", why=why, do=f"--set epochs={2 * old.epochs}")
    rates = _rates(state, old, new)
    extends = {
        "run_id": parent.run_id, "checkpoint": sha256_file(path), "epochs": old.epochs, "epoch": progress["epoch"],
        "step": progress["step"], "rate_there": rates[0], "rate_here": rates[1],
    }  # fmt: skip
    logger.info(
        "extending %s from epoch %d, step %d: the learning rate goes on at %.3g, as in a schedule of %d epochs; "
        "in the schedule of %d it had come to %.3g",
        parent.run_id, progress["epoch"], progress["step"], rates[1], new.epochs, old.epochs, rates[0],
    )  # fmt: skip
    complete = {**identity, "extends": extends}
    ring = folder / records.CHECKPOINTS
    checkpoint.save_checkpoint(ring, {**state, **complete}, progress["epoch"], progress["step"])
    return complete


def shorter(settings: Settings, identity: Mapping[str, Any]) -> str | None:
    """A run of the same configuration and data with fewer epochs, which `--extend` would go on from."""
    wanted = _but_for_epochs(identity)
    for run in records.list_runs(settings):
        config = read_json(run.folder / records.CONFIG)
        other = {name: config.get(name) for name in identity}  # it may say more, as how clips were drawn
        if other["config"]["epochs"] < identity["config"]["epochs"] and _but_for_epochs(other) == wanted:
            return run.run_id
    return None


def _check_same(state: Mapping[str, Any], identity: Mapping[str, Any], path: Path) -> None:
    there = _but_for_epochs({name: state.get(name) for name in identity})
    if wrong := checkpoint.differences(there, _but_for_epochs(identity)):
        raise ModelError(
            "A run can be extended only by one that differs in its number of epochs", where=path,
            why="these differ: " + "; ".join(wrong), do="name the preset and the values that it was made with",
        )  # fmt: skip


def _but_for_epochs(identity: Mapping[str, Any]) -> dict[str, Any]:
    shared = {name: value for name, value in identity.items() if name not in OWN}
    return {**shared, "config": {name: value for name, value in shared["config"].items() if name != "epochs"}}


def _rates(state: Mapping[str, Any], old: TrainingConfig, new: TrainingConfig) -> tuple[float, float]:
    """The learning rate that the checkpoint's last step had, and that of the next step in the longer schedule."""
    step, per_epoch, plateau = state["progress"]["step"], state["steps_per_epoch"], Plateau(**state["plateau"])
    before, after = (with_resolved(config, state["steps"]) for config in (old, new))
    return learning_rate(before, max(step - 1, 0), per_epoch, plateau), learning_rate(after, step, per_epoch, plateau)

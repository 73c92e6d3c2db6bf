"""Training from a manifest's features to a finished run: identity, resumption, and what is left behind.

A run's id follows from what determines it (preset and overrides, dataset, spec, classes), so the same command finds the
same run: a finished one is returned at once, an unfinished one goes on.
"""

import dataclasses
import functools
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beatsight_core.dataset.index import dataset_key
from beatsight_core.errors import DeviceError, TrainingError, UsageError
from beatsight_core.features.cache import Features, open_features
from beatsight_core.features.device import torch_device
from beatsight_core.files import digest_bytes, digest_json, read_json, write_json, write_text
from beatsight_core.leftovers import remove_leftovers
from beatsight_core.progress import Progress, SilentProgress
from beatsight_core.runs import records
from beatsight_core.runs.environment import record_environment
from beatsight_core.runs.overrides import GateOverride, note_overrides
from beatsight_core.runs.presets import TrainingConfig, load_preset
from beatsight_core.runs.records import Extension, Run, RunIdentity, list_runs, open_run
from beatsight_core.settings import Settings
from beatsight_core.training.afresh import begin_afresh, discard, settle_evaluations
from beatsight_core.training.filled_splits import require_filled_splits
from beatsight_core.training.machine.time_limit import TimeLimit
from beatsight_core.training.parallel.distributed import process_count, share_run
from beatsight_core.training.tracking.tracking import FINISH_WAIT_S, Tracker, open_tracker

if TYPE_CHECKING:
    import torch

    from beatsight_core.training.parallel.ranks import Ranks

__all__ = ["Run", "RunOptions", "TrainResult", "list_runs", "open_run", "train"]

logger = logging.getLogger("beatsight")

WIND_DOWN_S = 1.0
"""Seconds from the last checkpoint to the end of the process, without tracking."""

_SHOWN = ("loss", "accuracy", "exact_match", "top1_in_set", "macro_f1", "macro_ap", "legacy_accuracy", "legacy_ceiling",
          "hits")  # fmt: skip


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

    Attributes:
        run_id: Id of the run.
        folder: Folder of the run.
        status: State of the run, always "finished".
        epochs: Number of epochs trained.
        best_epoch: Epoch whose weights are kept.
        metrics: Metrics on val with tuned thresholds: `loss`, `accuracy`, `exact_match`, `macro_f1`, ..., and `f1` per
            class.
        seconds: Seconds of training and validation, of all attempts.
        clips_per_second: Rate of training.
        resumed: True if this call went on from a checkpoint of an earlier one, or found the run finished.
        was_finished: True if there was nothing left to do.
    """

    run_id: str
    folder: Path
    status: str
    epochs: int
    best_epoch: int
    metrics: dict[str, Any]
    seconds: float
    clips_per_second: float
    resumed: bool
    was_finished: bool

    def to_json(self) -> dict[str, Any]:
        """Return all attributes, JSON-safe."""
        return {**asdict(self), "folder": str(self.folder)}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run.

    Attributes:
        fresh: Request to put the run that is there aside, under another name, and to start again.
        extend: Id of a run whose newest checkpoint the new run goes on from, with more epochs.
        max_seconds: Time that the call may take; before that it ends with a checkpoint.
        launch: Name of the caller, if it may call again after a crash. A run that it has begun afresh then goes on.
        gate_overrides: Gates that refused the run, and the reasons for going on; kept with the run.
        version_override: Reason for starting again although a model version came of the run that is there; kept with
            that run.
    """

    fresh: bool = False
    extend: str | None = None
    max_seconds: float | None = None
    launch: str = ""
    gate_overrides: tuple[GateOverride, ...] = ()
    version_override: str | None = None

    @property
    def again(self) -> str:
        """Return the words that tell how to go on with the run."""
        return "run the same command again" + (", without --fresh" if self.fresh and not self.launch else "")


@dataclass(frozen=True, slots=True)
class Execution:
    """The means to carry out a run; they travel to each process that shares the run.

    Attributes:
        config: Training configuration.
        device: Device of torch; each of several processes takes its own of that kind.
        limit: Time limit of the attempt.
        processes: Number of processes that share the run.
        micro_batches: Least number of micro-batches that a batch is cut into.
    """

    config: TrainingConfig
    device: "torch.device"
    limit: TimeLimit
    processes: int = 1
    micro_batches: int = 1


def train(
    settings: Settings,
    ref: str | Path,
    preset: str = "warmup",
    *,
    overrides: Mapping[str, str | int | float | bool] | None = None,
    device: str = "auto",
    options: RunOptions = RunOptions(),
    progress: Progress | None = None,
) -> TrainResult:
    """Train a preset on a manifest's features, or go on with it, or find it finished.

    Args:
        settings: Settings with folders, feature spec, taxonomy, overrides of presets, and tracking.
        ref: Path, name or key of the manifest.
        preset: Name of the preset: warmup, baseline or long_run.
        overrides: Values that replace the preset's; text is read as the value's type.
        device: Name of the device: auto, cpu, cuda, or cuda:<n>.
        options: Options of this run: to start again, to extend another, and for how long.
        progress: Progress view that receives the number of clips trained on.

    Raises:
        SettingsError: Preset or overrides are wrong.
        DatasetError: Features are missing or incomplete, or a split is empty.
        DeviceError: The device is not there.
        GateError: The run is to start again, and a model version came of the run that is there.
        ModelError: The run to extend has no whole checkpoint, or differs in more than the number of epochs.
        TrainingError: Training diverged; says at which step and where the last good checkpoint is.
        TimeLimitError: The limit is near; a checkpoint has been written, and the same call goes on from it.
        KeyboardInterrupt: Stopped by Ctrl-C or SIGTERM after a step, with a checkpoint.
    """
    reserve_s = WIND_DOWN_S + (FINISH_WAIT_S if settings.tracking.mode != "disabled" else 0.0)
    limit = TimeLimit(options.max_seconds, reserve_s, options.again)
    config = load_preset(settings, preset, overrides)
    chosen = torch_device(device)
    processes = process_count(config.processes, device, chosen.type == "cuda")
    key = dataset_key(settings, ref)
    features = open_features(settings, key)
    require_filled_splits(settings, key, features)
    identity = run_identity(config, key, features, extension_of(settings, options.extend))
    folder = settings.run_root / identity["run_id"]
    with limit.waiting_for(folder.name, settings.run_root / ".locks" / folder.name):
        if options.fresh and not (options.launch and _launched_by(folder) == options.launch):
            begin_afresh(settings, folder, options.version_override)
            write_text(folder / records.LAUNCH, options.launch)
        settle_evaluations(settings, folder)
        was_finished = (folder / records.METRICS).exists()
        # Without a checkpoint there is nothing to go on from: the run starts anew, whoever began it.
        begun = was_finished or any((folder / records.CHECKPOINTS).glob("epoch-*.pt"))
        if not was_finished:
            identity = _begun(settings, folder, identity)
            note_overrides(folder, options.gate_overrides)
            execution = Execution(config, chosen, limit, processes)
            _carry_out(settings, folder, identity, execution, features, progress or SilentProgress())
        return _result(folder, resumed=begun, was_finished=was_finished)


def extension_of(settings: Settings, run: str | None) -> str | None:
    """Return the id of the run to extend; "latest" will not do, as it means another run once this one has begun."""
    if run == records.LATEST_RUN:
        raise UsageError("A run to extend must be named by its id", do="see runs/ for the ids")
    return open_run(settings, run).run_id if run else None


def run_identity(config: TrainingConfig, key: str, features: Features, extends: str | None = None) -> RunIdentity:
    """Return the identity of a run; its id is a digest of the rest."""
    identity: RunIdentity = {
        "preset": config.preset,
        "key": key,
        "source_sets": sorted(features.meta["source_set"].unique().to_list()),
        "config": config.identity(),
        "classes": list(features.classes),
        "spec": features.spec.to_json(),
        "digests": {"dataset": features.dataset_digest, "spec": features.spec.digest},
    }
    if extends:
        identity["extends"] = {"run_id": extends}
    return {"run_id": f"{config.preset}-{key}-{digest_json(identity)[:8]}", **identity}


def _begun(settings: Settings, folder: Path, identity: RunIdentity) -> RunIdentity:
    """Return what `config.json` is to say: the identity and, if the run extends another, its point of departure."""
    from beatsight_core.training import extension

    if (folder / records.CONFIG).exists():
        extends: Extension | None = read_json(folder / records.CONFIG).get("extends")
        return {**identity, "extends": extends} if extends else identity
    if "extends" in identity:
        if (folder / records.CHECKPOINTS).exists():  # of a call that was killed before it had written what the run is
            discard(folder / records.CHECKPOINTS)
        return extension.begin(settings, identity, folder)
    if other := extension.shorter(settings, identity):
        logger.info("run %s is the same with fewer epochs; --extend %s would go on from there", other, other)
    return identity


def _carry_out(
    settings: Settings,
    folder: Path,
    identity: RunIdentity,
    execution: Execution,
    features: Features,
    progress: Progress,
) -> None:
    """Train in this process, or in several that share the run; keep the reason if it fails."""
    from beatsight_core.training.machine.memory import MemoryShortError
    from beatsight_core.training.parallel.ranks import ALONE

    (folder / records.FAILURE).unlink(missing_ok=True)
    try:
        if execution.processes == 1:
            _train(settings, folder, identity, execution, features, ALONE, progress)
            return
        while True:
            work = functools.partial(_train_share, settings, folder, identity, execution)
            try:
                share_run(execution.processes, work, progress, on_cuda=execution.device.type == "cuda")
            except MemoryShortError as error:
                execution = dataclasses.replace(execution, micro_batches=2 * execution.micro_batches)
                logger.warning("%s Starts again from the last checkpoint, with half as many clips at a time", error)
            else:
                return
    except (TrainingError, DeviceError) as error:
        write_json(folder / records.FAILURE, {"error": str(error)})
        raise


def _train_share(
    settings: Settings, folder: Path, identity: RunIdentity, execution: Execution, ranks: "Ranks", progress: Progress
) -> None:
    """Train as one of the processes that share a run."""
    import torch

    features = open_features(settings, identity["key"])
    if execution.device.type == "cuda":
        execution = dataclasses.replace(execution, device=torch.device("cuda", ranks.number))
    _train(settings, folder, identity, execution, features, ranks, progress)


def _train(
    settings: Settings,
    folder: Path,
    identity: RunIdentity,
    execution: Execution,
    features: Features,
    ranks: "Ranks",
    progress: Progress,
) -> None:
    from beatsight_core.training.attempt import Attempt
    from beatsight_core.training.data.clip_weights import draw_weights
    from beatsight_core.training.fit import fit

    config, device = execution.config, execution.device
    weights = draw_weights(settings, identity["key"], features, config.balance)
    if weights is not None:  # a sampling profile may change, and the order of a run must not
        identity = {**identity, "draws": digest_bytes(weights.tobytes())}
    tracker = Tracker()
    if ranks.first:
        write_json(folder / records.CONFIG, identity)
        record_environment(folder, str(device), config)
        remove_leftovers(folder)
        remove_leftovers(folder / records.CHECKPOINTS)
        tracker = open_tracker(settings, folder, identity)
    try:
        fit(
            Attempt(
                folder, identity, config, features, device, tracker, progress,
                limit=execution.limit, weights=weights, ranks=ranks, micro_batches=execution.micro_batches,
            )
        )  # fmt: skip
    finally:
        tracker.finish()


def _launched_by(folder: Path) -> str | None:
    """Return the launch that began a run afresh, if one did."""
    path = folder / records.LAUNCH
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _result(folder: Path, *, resumed: bool, was_finished: bool) -> TrainResult:
    value = read_json(folder / records.METRICS)
    metrics = {name: value["metrics"][name] for name in _SHOWN}
    metrics["f1"] = {label: scores["f1"] for label, scores in value["metrics"]["per_class"].items()}
    return TrainResult(
        run_id=value["run_id"],
        folder=folder,
        status=value["status"],
        epochs=value["epochs"],
        best_epoch=value["best_epoch"],
        metrics=metrics,
        seconds=value["seconds"],
        clips_per_second=value["clips_per_second"],
        resumed=resumed,
        was_finished=was_finished,
    )

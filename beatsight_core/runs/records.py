"""A run's folder: what it is, how it went, where its best weights are.

    runs/<run id>/config.json        identity: preset, values, dataset, spec, classes
                 environment.json    of the last attempt, and of earlier ones that differ
                 history.jsonl       one line per epoch: the truth that tracking mirrors
                 tracking.json       where W&B shows the run, if it does
                 thresholds.json     per class, from the calibration split
                 curves.json         confusions, precision and recall of the finished run on val
                 metrics.json        of the finished run on val; its presence means finished
                 failure.json        why the last attempt gave up, if it did
                 launch              who began it afresh, if anybody did
                 waived.jsonl        gates that refused it, and why somebody went on; `overrides.py`
                 checkpoints/        the last three, best.pt, and the name of the latest
    runs/<run id>-earlier-<n>/       the same of a run that was put aside when its id was begun afresh; `afresh.py`

Training writes it, and all that comes after reads it by `open_run`.
"""

import logging
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import orjson

from beatsight_core.errors import InputError, ModelError
from beatsight_core.features.spec import FeatureSpec
from beatsight_core.files import Record, read_json, storage_errors, write_bytes
from beatsight_core.runs.presets import TrainingConfig, preset_values
from beatsight_core.settings import Settings

CONFIG, HISTORY, METRICS, THRESHOLDS = "config.json", "history.jsonl", "metrics.json", "thresholds.json"
ENVIRONMENT, FAILURE, LAUNCH, CHECKPOINTS = "environment.json", "failure.json", "launch", "checkpoints"
TRACKING, CURVES = "tracking.json", "curves.json"
LATEST_RUN = "latest"

EARLIER = "-earlier-"
"""Between the id of a run and a number: the name of one that was put aside."""
_PUT_ASIDE = re.compile(rf"(.+-[0-9a-f]{{8}}){EARLIER}(\d+)")

logger = logging.getLogger("beatsight")


class Extension(TypedDict, total=False):
    """The extension of another run; before it has begun, only the other's id is known.

    Attributes:
        run_id: Id of the other run.
        checkpoint: Digest of the other's checkpoint.
        epochs: Epochs of the other's schedule.
        epoch: Epochs that the other had completed.
        step: Steps that the other had done.
        rate_there: Learning rate of the checkpoint's last step.
        rate_here: Learning rate of the next step in the longer schedule.
    """

    run_id: str
    checkpoint: str
    epochs: int
    epoch: int
    step: int
    rate_there: float
    rate_here: float


class RunIdentity(TypedDict, total=False):
    """The identity of a run, as its `config.json` and each of its checkpoints say.

    Attributes:
        run_id: Id of the run, which ends with a digest of the rest.
        preset: Name of the preset.
        key: Key of the manifest.
        source_sets: Source sets of the dataset.
        config: Values of the configuration that make the run another run.
        classes: Labels in class order.
        spec: Feature spec.
        digests: Digests of the dataset and the spec.
        extends: Run that this one extends; absent if there is none.
        draws: Digest of the weights by which an epoch draws its clips; absent if each is taken once.
    """

    run_id: str
    preset: str
    key: str
    source_sets: list[str]
    config: dict[str, str | int | float | bool]
    classes: list[str]
    spec: dict[str, str | int | float]
    digests: dict[str, str]
    extends: Extension
    draws: str


class MachineUse(TypedDict, total=False):
    """The use that an attempt made of its machine while an epoch ran.

    Attributes:
        cpu_share: Share of all processors that this process used, 0 to 1.
        memory_bytes: Memory of this process.
        device_utilisation: Share of time in which the devices were busy, 0 to 1, the mean over all of them; None where
            unknown.
        device_memory_bytes: Most memory in use on a device by anybody; None where unknown.
    """

    cpu_share: float
    memory_bytes: int
    device_utilisation: float | None
    device_memory_bytes: int | None


class EpochRecord(MachineUse, total=False):
    """A line of `history.jsonl`: the figures of an epoch. Older runs have lines that lack some of these.

    Attributes:
        epoch: Number of the epoch, from 1.
        step: Steps of the optimizer since the run began.
        lr: Learning rate of the last step.
        train_loss: Mean loss over the epoch's training clips.
        val_loss: Mean loss over the validation clips looked at.
        val_accuracy: Micro-F1 over the components; None where nothing was struck or predicted.
        val_exact_match: Share of hits of which every component is right.
        val_top1_in_set: Share of labelled hits whose most probable component was struck.
        val_macro_f1: Mean F1 over the classes that have one.
        val_macro_ap: Mean average precision over the classes that have one.
        val_hits: Number of validation clips looked at.
        f1: F1 of each class, by its label.
        recall: Recall of each class, by its label.
        clips: Number of clips trained on in this attempt.
        clips_per_second: Rate of training.
        train_seconds: Seconds of training.
        data_wait_seconds: Seconds in which training stood still for data.
        batch: Clips of a forward pass.
        accumulation: Forward passes of a step.
        device_peak_bytes: Most memory that torch held on the device; None on the CPU.
        seconds: Seconds of training and validation.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    val_loss: float
    val_accuracy: float | None
    val_exact_match: float | None
    val_top1_in_set: float | None
    val_macro_f1: float | None
    val_macro_ap: float | None
    val_hits: int
    f1: dict[str, float | None]
    recall: dict[str, float | None]
    clips: int
    clips_per_second: float
    train_seconds: float
    data_wait_seconds: float
    batch: int
    accumulation: int
    device_peak_bytes: int | None
    seconds: float


@dataclass(frozen=True)
class Run:
    """One training run on disk.

    Attributes:
        run_id: Name of the run, which is that of its folder.
        folder: Folder of the run.
        preset: Name of the preset.
        key: Key of the manifest that it learned from.
        config: Training configuration.
        classes: Labels in class order.
        spec: Recipe of its features.
        dataset_digest: Digest of the dataset that it learned from.
        source_sets: Source sets of that dataset.
    """

    run_id: str
    folder: Path
    preset: str
    key: str
    config: TrainingConfig
    classes: tuple[str, ...]
    spec: FeatureSpec
    dataset_digest: str
    source_sets: tuple[str, ...]

    @property
    def trained_as(self) -> str:
        """The id that the run was trained under: its own, unless it was put aside since."""
        put_aside = _PUT_ASIDE.fullmatch(self.run_id)
        return put_aside[1] if put_aside else self.run_id

    @property
    def status(self) -> str:
        """Finished, failed, or unfinished (under way, stopped, or killed)."""
        if (self.folder / METRICS).is_file():
            return "finished"
        return "failed" if (self.folder / FAILURE).is_file() else "unfinished"

    @property
    def checkpoint(self) -> Path:
        """The best weights, for `checkpoint.load`."""
        return self.folder / CHECKPOINTS / "best.pt"

    @property
    def metrics(self) -> dict[str, Any] | None:
        """The content of `metrics.json`, if the run is finished."""
        return read_json(self.folder / METRICS) if self.status == "finished" else None

    @property
    def history(self) -> list[EpochRecord]:
        """A record per complete epoch."""
        return read_history(self.folder)

    @property
    def thresholds(self) -> npt.NDArray[np.float64]:
        """The thresholds (classes,) in class order.

        Raises:
            ModelError: The run is not finished, so none were tuned.
        """
        path = self.folder / THRESHOLDS
        if not path.is_file():
            raise ModelError(f"Run {self.run_id} has no thresholds yet", where=path, do=how_to_finish(self))
        values = read_json(path)["thresholds"]
        return np.array([values[label] for label in self.classes], dtype=np.float64)

    def to_json(self) -> dict[str, str | int]:
        """Return a summary, JSON-safe."""
        return {
            "run_id": self.run_id,
            "folder": str(self.folder),
            "preset": self.preset,
            "key": self.key,
            "status": self.status,
            "epochs": len(self.history),
            "dataset": self.dataset_digest,
            "spec": self.spec.digest,
        }


def open_run(settings: Settings, run_id: str) -> Run:
    """Return a run by its id, by a beginning of it that fits no other, or "latest".

    Raises:
        ModelError: No run fits, or several do, or the folder of the run is broken.
    """
    if run_id and "/" not in run_id and (settings.run_root / run_id / CONFIG).is_file():
        return read_run(settings.run_root / run_id)
    runs = list_runs(settings)
    if run_id == LATEST_RUN and runs:
        return runs[0]
    fitting = [run for run in runs if run_id and run.run_id.startswith(run_id)]
    fitting = [run for run in fitting if run.trained_as == run.run_id] or fitting  # put aside is not what is meant
    if len(fitting) == 1:
        return fitting[0]
    what = f"{run_id!r} fits {len(fitting)} runs" if fitting else f"There is no run {run_id!r}"
    names = ", ".join(run.run_id for run in (fitting or runs)[:5])
    raise ModelError(what, where=settings.run_root, do=f"name one of: {names}" if names else "train first")


def list_runs(settings: Settings) -> list[Run]:
    """Return all runs, the one worked on last first; a folder that cannot be read is left out with a warning."""
    if not settings.run_root.is_dir():
        return []
    with storage_errors(settings.run_root):
        found = [path.parent for path in settings.run_root.glob(f"*/{CONFIG}")]
        folders = [folder for folder in found if not folder.name.startswith(".")]
        folders.sort(key=lambda folder: (_last_change(folder), folder.name), reverse=True)
    runs = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except InputError as error:
            logger.warning("a run is left out: %s", error)
    return runs


def read_run(folder: Path) -> Run:
    """Return the run that lies in a folder.

    Raises:
        ModelError: The `config.json` of the run is not one of this program.
    """
    value = read_json(folder / CONFIG)
    put_aside = _PUT_ASIDE.fullmatch(folder.name)
    try:
        return Run(
            run_id=folder.name if put_aside and put_aside[1] == value["run_id"] else value["run_id"],
            folder=folder,
            preset=value["preset"],
            key=value["key"],
            config=TrainingConfig.from_json(value["config"]),
            classes=tuple(value["classes"]),
            spec=FeatureSpec.from_json(value["spec"]),
            dataset_digest=value["digests"]["dataset"],
            source_sets=tuple(value["source_sets"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        do = "restore it, or train the run afresh"
        raise ModelError("A run's configuration is broken", where=folder / CONFIG, why=str(error), do=do) from error


def earlier_runs(folder: Path) -> list[int]:
    """Return the numbers of runs that were put aside when the run of a folder was begun afresh."""
    found = (_PUT_ASIDE.fullmatch(path.name) for path in folder.parent.glob(f"*{EARLIER}*"))
    return sorted(int(name[2]) for name in found if name and name[1] == folder.name)


def read_history(folder: Path) -> list[EpochRecord]:
    """Return the records of `history.jsonl`; a last line that was cut off does not count.

    Raises:
        ModelError: A line is none of this program.
    """
    path = folder / HISTORY
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    records: list[EpochRecord] = []
    for number, line in enumerate(lines, 1):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise _broken_history(path, number, str(error)) from error
        if not isinstance(record, dict):
            raise _broken_history(path, number, "it is no record of an epoch")
        records.append(Record.of(record, path))
    return records


def _broken_history(path: Path, line: int, why: str) -> ModelError:
    return ModelError(
        "A run's history is broken", where=f"{path}, line {line}", why=why, do="restore it, or train the run afresh"
    )


def write_history(folder: Path, records: Sequence[EpochRecord]) -> None:
    """Replace `history.jsonl`, atomically."""
    lines = [orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for record in records]
    write_bytes(folder / HISTORY, b"".join(lines))


def _last_change(folder: Path) -> int:
    names = (METRICS, HISTORY, CONFIG)
    return max((folder / name).stat().st_mtime_ns for name in names if (folder / name).exists())


def how_to_finish(run: Run) -> str:
    """Return what to do to finish a run."""
    if run.trained_as != run.run_id:
        return f"it was put aside; it goes on once its folder is {run.trained_as} again"
    return f"finish it: {command_to_finish(run)}"


def command_to_finish(run: Run) -> str:
    """Return the command that goes on with a run: its preset and whatever differs from that."""
    said = read_json(run.folder / CONFIG)
    plain = TrainingConfig(preset=run.preset, **preset_values(run.preset)).to_json()
    words = [f"--set {name}={_typed(value)}" for name, value in said["config"].items() if plain.get(name) != value]
    if "extends" in said:
        words.append(f"--extend {said['extends']['run_id']}")
    return " ".join(["beatsight train", shlex.quote(run.key), "--preset", run.preset, *words])


def _typed(value: str | int | float | bool) -> str:
    """Return a value as it is typed after `--set`."""
    return str(value).lower() if isinstance(value, bool) else shlex.quote(str(value))

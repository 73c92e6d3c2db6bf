"""A run's folder: what it is, how it went, where its best weights are.

    runs/<run id>/config.json        identity: preset, values, dataset, spec, classes
                 environment.json    of the last sitting, and of earlier ones that differ
                 history.jsonl       one line per epoch: the truth that tracking mirrors
                 tracking.json       where W&B shows the run, if it does
                 thresholds.json     per class, from the calibration split
                 curves.json         confusions, precision and recall of the finished run on val
                 metrics.json        of the finished run on val; its presence means finished
                 failure.json        why the last sitting gave up, if it did
                 launch              who began it afresh, if anybody did
                 waived.jsonl        gates that refused it, and why somebody went on; `overrides.py`
                 checkpoints/        a ring of three, best.pt, and the name of the latest
    runs/<run id>-earlier-<n>/       the same of a run that was put aside when its id was begun afresh; `afresh.py`

Training writes it, and all that comes after reads it by `open_run`.
"""

import logging
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Run:
    """One training run on disk.

    Attributes:
        run_id: Its name, which is that of its folder.
        folder: Where it lies.
        preset: Name of the preset.
        key: Of the manifest it learned from.
        config: Its values.
        classes: Labels in class order.
        spec: How its features were made.
        dataset_digest: Of the dataset it learned from.
        source_sets: Of that dataset.
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
        """The id that it was trained under: its own, unless it was put aside since."""
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
        """What `metrics.json` says, if the run is finished."""
        return read_json(self.folder / METRICS) if self.status == "finished" else None

    @property
    def history(self) -> list[dict[str, Any]]:
        """A record per complete epoch."""
        return read_history(self.folder)

    @property
    def thresholds(self) -> npt.NDArray[np.float64]:
        """(classes,) in class order.

        Raises:
            ModelError: The run is not finished, so none were tuned.
        """
        path = self.folder / THRESHOLDS
        if not path.is_file():
            raise ModelError(f"Run {self.run_id} has no thresholds yet", where=path, do=how_to_finish(self))
        values = read_json(path)["thresholds"]
        return np.array([values[label] for label in self.classes], dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """A summary, JSON-safe."""
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
    """A run by its id, by a beginning of it that fits no other, or "latest".

    Raises:
        ModelError: None fits, or several do, or its folder is broken.
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
    """All runs, the one worked on last first; a folder that cannot be read is left out with a warning."""
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
    """The run that lies in a folder.

    Raises:
        ModelError: Its `config.json` is not one of this program.
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
    """The numbers of runs that were put aside when the run of a folder was begun afresh."""
    found = (_PUT_ASIDE.fullmatch(path.name) for path in folder.parent.glob(f"*{EARLIER}*"))
    return sorted(int(name[2]) for name in found if name and name[1] == folder.name)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The records of `history.jsonl`; a last line that was cut off does not count.

    Raises:
        ModelError: A line is none of this program.
    """
    path = folder / HISTORY
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    records = []
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


def write_history(folder: Path, records: list[dict[str, Any]]) -> None:
    """Replace `history.jsonl`, atomically."""
    lines = [orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for record in records]
    write_bytes(folder / HISTORY, b"".join(lines))


def _last_change(folder: Path) -> int:
    names = (METRICS, HISTORY, CONFIG)
    return max((folder / name).stat().st_mtime_ns for name in names if (folder / name).exists())


def how_to_finish(run: Run) -> str:
    """The command that goes on with a run: its preset and whatever differs from that."""
    if run.trained_as != run.run_id:
        return f"it was put aside; it goes on once its folder is {run.trained_as} again"
    said = read_json(run.folder / CONFIG)
    plain = TrainingConfig(preset=run.preset, **preset_values(run.preset)).to_json()
    words = [f"--set {name}={_typed(value)}" for name, value in said["config"].items() if plain.get(name) != value]
    if "extends" in said:
        words.append(f"--extend {said['extends']['run_id']}")
    return " ".join(["finish it: beatsight train", shlex.quote(run.key), "--preset", run.preset, *words])


def _typed(value: Any) -> str:
    """A value as it is typed after `--set`."""
    return str(value).lower() if isinstance(value, bool) else shlex.quote(str(value))

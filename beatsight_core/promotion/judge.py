"""JudgingContext a candidate: find or make its evaluation, hold every criterion against it, write the gate record.

`judge` writes a record. `judged` gives the one that is there, if all of it is still so: what it rests on, by digest,
and every row of it, measured once more. A record that is altered, forged or stale is refused, with what differs;
judging again is another command (`beatsight judge`), so that nobody does it by accident.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beatsight_core.errors import DatasetError
from beatsight_core.evaluation.evaluate import (
    METRICS,
    current_digests,
    evaluate,
    features_for,
    find_evaluation,
    require_finished,
)
from beatsight_core.files import read_json, sha256_file
from beatsight_core.gates.gate import Gate
from beatsight_core.gates.record import PROMOTION_RECORD, SealedRecord, judging_environment, write_record
from beatsight_core.gates.release_limits import limits_for, probe_limits
from beatsight_core.progress import Progress, SilentProgress, Task
from beatsight_core.promotion.criteria import ALL, CRITERIA, UNFORCEABLE, JudgingContext
from beatsight_core.promotion.evidence import gather, inputs
from beatsight_core.promotion.first_inputs import first_inputs
from beatsight_core.promotion.gate_records import about_promotion_record, read_promotion_record
from beatsight_core.promotion.health_record import health_named
from beatsight_core.provenance import who_and_when
from beatsight_core.runs.lookup import VERSION, champion_version, version_folder
from beatsight_core.runs.records import Run, open_run
from beatsight_core.settings import Settings

__all__ = ["CRITERIA", "Judgement", "is_version_of", "judge", "judged", "read_promotion_record", "require_same_inputs"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A candidate as judged.

    Attributes:
        run_id: Id of the candidate's run.
        record: Content of the gate record.
        path: Path of the gate record.
        reused: Flag of a record that was there and still holds.
        notice: Text that a person must know of the limits; None without any.
    """

    run_id: str
    record: dict[str, Any]
    path: Path
    reused: bool = False
    notice: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every criterion is met."""
        return bool(self.record["passed"])

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The criteria that are not met."""
        return [row for row in self.record["criteria"] if not row["passed"]]

    def may_pass(self, reason: str | None) -> bool:
        """Return whether it may be promoted: all criteria are met, or with a reason those that no reason excuses."""
        return self.passed or (reason is not None and not [row for row in self.failed if row["name"] in UNFORCEABLE])

    def to_json(self) -> dict[str, Any]:
        """Return verdict, criteria, digests and where the record is."""
        return {
            "run_id": self.run_id,
            "passed": self.passed,
            "criteria": self.record["criteria"],
            "failed": [row["name"] for row in self.failed],
            "profile": self.record["profile"],
            "notice": self.notice,
            "digests": self.record["digests"],
            "evaluation_id": self.record["evaluation_id"],
            "compared_with": self.record["compared_with"],
            "record": str(self.path),
            "reused": self.reused,
        }


def judge(
    settings: Settings,
    run: str,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    dagster_run: str | None = None,
) -> Judgement:
    """Hold every promotion criterion against a finished run and write `runs/<run id>/gates/promotion.json`.

    The evaluation of its whole validation split is used, or made if there is none. One that belongs to another
    checkpoint, dataset or spec is not made again silently: it fails its criterion.

    Args:
        settings: Settings with paths, gates and their profile.
        run: Id of a run, a beginning of one, or "latest".
        device: Device for evaluations, and for the champion's answers on the same hits.
        progress: Receives the number of clips processed.
        dagster_run: Id of Dagster's run, if that asks; for the record.

    Raises:
        SettingsError: `[gates.promotion]` or `[gates.probe]` would loosen a limit without a reason.
        ModelError: There is no such finished run, or its checkpoint is broken.
        DatasetError: The features of its dataset are missing.
    """
    limits_for(settings), probe_limits(settings)  # wrong ones are told before anything is made
    progress = progress or SilentProgress()
    trained = require_finished(open_run(settings, run))
    folder = find_evaluation(settings, trained) or evaluate(settings, run, device=device, progress=progress).folder
    standing = champion_version(settings)
    found = gather(settings, trained, folder, device, progress)
    with progress.task("judge", len(ALL), "criteria") as task:
        gates = _measure(JudgingContext(settings, found, standing, device), task)
    found_inputs = inputs(settings, found)
    content = {
        "compared_with": standing,
        "made": {**who_and_when(), "dagster_run": dagster_run},
        "environment": judging_environment(device),
        "health": health_named(settings, trained.key),
        **found_inputs,
    }
    path = trained.folder / PROMOTION_RECORD.file
    record = write_record(path, PROMOTION_RECORD, content, gates)
    return Judgement(trained.run_id, record, path, notice=found_inputs["notice"])


def judged(
    settings: Settings,
    run: str,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    dagster_run: str | None = None,
) -> Judgement:
    """Return the record of a run if all that it says is still so; a new judgement if there is none.

    Args:
        settings: Settings with paths, gates and their profile.
        run: Id of a run, a beginning of one, or "latest".
        device: Device for what has to be computed again.
        progress: Receives the number of clips processed.
        dagster_run: Id of Dagster's run, if that asks; for the record of a new judgement.

    Raises:
        GateError: There is a record that was altered or forged, or is stale; names what differs.
        SettingsError: Settings would loosen a limit without a reason.
        ModelError: There is no such finished run, or its checkpoint is broken.
        DatasetError: The features of its dataset are missing.
    """
    limits_for(settings), probe_limits(settings)
    trained = require_finished(open_run(settings, run))
    record = read_promotion_record(trained)
    if record is None:
        return judge(settings, run, device=device, progress=progress, dagster_run=dagster_run)
    if changed := _no_longer_so(settings, trained, record, device, progress or SilentProgress()):
        raise record.refusal("; ".join(changed))
    return Judgement(trained.run_id, record.content, record.path, reused=True, notice=record.content["notice"])


def require_same_inputs(settings: Settings, trained: Run, judgement: Judgement) -> None:
    """Look once more, by digests alone, whether what was judged a moment ago is still what is there.

    Raises:
        GateError: Something changed in between.
    """
    path, subject, do = about_promotion_record(trained)
    record = SealedRecord(PROMOTION_RECORD, path, judgement.record, subject, do)
    folder = _evaluation_of(settings, trained, judgement.record)
    if folder is None:
        raise record.refusal("its evaluation is gone")
    found = gather(settings, trained, folder, "cpu", SilentProgress())
    if changed := record.changed_inputs(inputs(settings, found)):
        raise record.refusal("; ".join(changed))


def is_version_of(settings: Settings, version: int, trained: Run) -> bool:
    """Return whether a version came of this run, with the very weights that the run has now."""
    about = read_json(version_folder(settings, version) / VERSION)
    same_run = about["run_id"] in (trained.run_id, trained.trained_as) and trained.checkpoint.is_file()
    return bool(same_run and about["digests"]["checkpoint"] == sha256_file(trained.checkpoint))


def _no_longer_so(settings: Settings, trained: Run, record: SealedRecord, device: str, progress: Progress) -> list[str]:
    """What the record rests on that is now different; if nothing, what it says that is not so."""
    folder = _evaluation_of(settings, trained, record.content)
    if folder is None:
        return ["the evaluation that it names is gone"]
    try:
        digests = current_digests(trained, features_for(settings, trained, trained.key))
        first = first_inputs(settings, trained, digests)
        if changed := record.only(first).changed_inputs(first):  # before a slice or an export is made for nothing
            return changed
        found = gather(settings, trained, folder, device, progress)
        changed = record.changed_inputs(inputs(settings, found)) + _other_champion(settings, trained, record.content)
        if changed:
            return changed
        with progress.task("look at the gate record", len(ALL), "criteria") as task:
            gates = _measure(JudgingContext(settings, found, record.content["compared_with"], device), task)
    except DatasetError as error:
        return [error.what]
    return record.changed_gates(gates)


def _measure(asked: JudgingContext, task: Task) -> list[Gate]:
    """Every criterion, in order.

    Raises:
        ModelError: The champion's version is broken.
    """
    gates = []
    for criterion in ALL:
        gates.append(criterion.judge(asked))
        task.advance()
    return gates


def _other_champion(settings: Settings, trained: Run, record: Mapping[str, Any]) -> list[str]:
    """A sentence if the record compares with another version than the champion, or with one before this very run."""
    standing, then = champion_version(settings), record["compared_with"]
    allowed = [standing]
    if standing is not None and is_version_of(settings, standing, trained):  # since then it became the champion itself
        allowed.append(read_json(version_folder(settings, standing) / "gate.json").get("compared_with"))
    return [] if then in allowed else [f"champion (was {then}, is {standing})"]


def _evaluation_of(settings: Settings, trained: Run, record: Mapping[str, Any]) -> Path | None:
    """The folder of the evaluation that a record names; only one of the run's own."""
    name = record["evaluation_id"]
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        return None
    folder = settings.metrics_dir / trained.run_id / name
    return folder if (folder / METRICS).is_file() else None

"""Promotion and rollback: each one command, each one move of the pointer."""

import contextlib
import time
from pathlib import Path
from typing import Any

from beatsight_core.alerts.alert import Alert
from beatsight_core.alerts.outbox import raise_alert
from beatsight_core.alerts.report_link import report_link
from beatsight_core.errors import GateError, ModelError, UsageError
from beatsight_core.evaluation.evaluate import PAGE
from beatsight_core.files import exclusive_lock, read_json
from beatsight_core.gates.gate import Gate, GateRow, written
from beatsight_core.progress import Progress
from beatsight_core.promotion.criteria import UNFORCEABLE
from beatsight_core.promotion.external.announce import (
    announce,
    announce_if_possible,
    check_announcement,
    plan_announcement,
    standing_to_be,
    to_be_written,
)
from beatsight_core.promotion.external.edit_file import FileChange
from beatsight_core.promotion.external.external_files import external_places
from beatsight_core.promotion.judge import Judgement, is_version_of, judged, require_same_inputs
from beatsight_core.promotion.results import AppliedUpdates, PromotionResult, RollbackResult
from beatsight_core.promotion.version.model_notices import joined_notices, version_notice
from beatsight_core.promotion.version.pointer import LOCK, Champion, align, move_pointer, read_pointer
from beatsight_core.promotion.version.weights_and_sidecar import CURRENT_WEIGHTS
from beatsight_core.promotion.version.write_version import CARD, GATE, INFRASTRUCTURE, versions, write_version
from beatsight_core.provenance import who_and_when
from beatsight_core.runs.lookup import VERSION, verified_version, version_folder
from beatsight_core.runs.records import Run, open_run
from beatsight_core.settings import Settings

MOST_DIGITS = 18
"""Of a version's number; nobody has made so many."""

_WAITED_FOR = "the folder of models"
"""What a command that waits for another one says."""


def promote(
    settings: Settings,
    run: str,
    *,
    force: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    judgement: Judgement | None = None,
) -> PromotionResult:
    """Make a run the champion if its gate record says that it may be; judge it first if it has no record that counts.

    Args:
        settings: Settings with paths, gates and their profile.
        run: Id of a run, a beginning of one, or "latest".
        force: Reason for promoting although a criterion fails; kept in the card, the list and the history for ever.
        device: Device of the judgement.
        progress: Receives the number of clips and steps.
        judgement: Judgement of the run, if the caller has just had it from `judge` or `judged`.

    Raises:
        GateError: A criterion is not met, and no reason is given or none would do; names each with its value and limit.
            Or the gate record does not hold, or the version made of it is not fit for use (`infrastructure`), against
            which no reason helps.
        SettingsError: A configuration or page that settings name cannot be brought in line; nothing has changed then.
        UsageError: The reason is empty.
        ModelError: There is no such finished run.
    """
    reason = reason_given(force)
    trained = open_run(settings, run)
    while True:
        standing = champion(settings)
        if standing is not None and is_version_of(settings, standing.version, trained):
            return _already(settings, trained)
        if judgement is None:
            judgement = judged(settings, trained.run_id, device=device, progress=progress)
        if not judgement.may_pass(reason):
            raise _refusal(judgement)
        with exclusive_lock(settings.models_dir / LOCK, _WAITED_FOR):
            before = read_pointer(settings)
            if (before.version if before else None) == judgement.record["compared_with"]:
                require_same_inputs(settings, trained, judgement)
                return _publish(settings, trained, judgement, reason, before)
        judgement = None  # another was promoted meanwhile


def rollback(
    settings: Settings, version: str | int | None = None, *, why: str | None = None, dry_run: bool = False
) -> RollbackResult:
    """Make an earlier version the champion again.

    Args:
        settings: Settings with paths.
        version: Version to go back to; by default the champion before the present one was promoted.
        why: Reason, for the history.
        dry_run: Flag of a preview: nothing is changed, and the result tells what would be.

    Raises:
        ModelError: There is no champion, no earlier one, or no such version, or its files are broken. Or no version was
            named, and while this waited for another command the champion changed, so that it would not be known any
            more what is to be taken back.
        SettingsError: A configuration or page that settings name cannot be brought in line; nothing has changed then.
        UsageError: `version` is not a number.
    """
    wanted = None if version is None else _number(version)
    asked_of = read_pointer(settings)
    if asked_of is None:
        raise ModelError("There is no champion to roll back from", where=settings.models_dir, do="promote a run first")
    # A look needs no lock: on a drive that is read-only there can be none.
    with contextlib.nullcontext() if dry_run else exclusive_lock(settings.models_dir / LOCK, _WAITED_FOR):
        now = read_pointer(settings)
        assert now is not None  # the pointer is only ever replaced
        if wanted is None and now != asked_of:
            raise _meanwhile(asked_of, now)
        target = _target(settings, now, wanted)
        about = read_json(verified_version(settings, target) / VERSION)
        entry = _entry("rollback", about, why or f"rolled back from version {now.version}")
        after = now if target == now.version else now.succeeded_by(target, entry)
        changes, pending = _planned(settings, now, after), None
        if not dry_run:
            if after is now:
                align(settings, now)
            else:
                move_pointer(settings, after)
            changes, pending = announce_if_possible(settings, after)
            if after is not now:
                raise_alert(settings, _rolled_back(settings, now.version, target, entry))
    return RollbackResult(
        version=target,
        previous=now.version,
        run_id=about["run_id"],
        current=settings.models_dir / CURRENT_WEIGHTS,
        notice=version_notice(about),
        changes=tuple(change.told for change in changes if change.diff),
        dry_run=dry_run,
        untold=pending,
    )


def champion(settings: Settings) -> Champion | None:
    """Return the champion, with the platform's own files that derive from the pointer in line; None before the first.

    External files are left as they are: promote, rollback and `apply_pending` write them, and nothing else does.

    Raises:
        ModelError: The pointer or the version it names is broken.
    """
    if read_pointer(settings) is None:
        return None
    with exclusive_lock(settings.models_dir / LOCK, _WAITED_FOR):
        now = read_pointer(settings)
        if now is not None:
            align(settings, now)
        return now


def apply_pending(settings: Settings) -> AppliedUpdates:
    """Bring in line all that follows the champion: the platform's own files, and every external file.

    What somebody else wrote into those is replaced too: that is what is asked for here, and a copy stays.

    Raises:
        ModelError: There is no champion, or its files are broken.
        SettingsError: An external file cannot be brought in line; none is changed then.
        StorageError: The drive refused.
    """
    if read_pointer(settings) is None:
        raise ModelError("There is no champion to tell of", where=settings.models_dir, do="promote a run first")
    with exclusive_lock(settings.models_dir / LOCK, _WAITED_FOR):
        now = read_pointer(settings)
        assert now is not None  # the pointer is only ever replaced
        align(settings, now)
        changes = announce(settings, now, everything=True)
    return AppliedUpdates(now.version, tuple(change.told for change in changes))


def _publish(
    settings: Settings, trained: Run, judgement: Judgement, reason: str | None, before: Champion | None
) -> PromotionResult:
    """Write the version, move the pointer. The caller holds the lock."""
    forced = None if judgement.passed else reason
    check_announcement(settings, standing_to_be(settings, judgement, forced))
    version = write_version(settings, trained, judgement, forced)
    about = read_json(version_folder(settings, version) / VERSION)
    why = f"forced: {forced}" if forced else "met every criterion"
    after = (before or Champion(version)).succeeded_by(version, _entry("promote", about, why))
    plan_announcement(settings, after)  # what cannot be told stops it here
    move_pointer(settings, after)
    changes, pending = announce_if_possible(settings, after)
    raise_alert(settings, _promoted(settings, version, judgement, why))
    return PromotionResult(
        run_id=trained.run_id,
        version=version,
        previous=before.version if before else None,
        passed=judgement.passed,
        criteria=tuple(judgement.record["criteria"]),
        record=judgement.record["digest"],
        infrastructure=_infrastructure(version_folder(settings, version)),
        forced=forced,
        folder=version_folder(settings, version),
        current=settings.models_dir / CURRENT_WEIGHTS,
        already=False,
        changes=tuple(change.told for change in changes),
        untold=pending,
        notice=joined_notices(version_notice(about), judgement.notice if judgement.notice != about["notice"] else None),
    )


def _promoted(settings: Settings, version: int, judgement: Judgement, why: str) -> Alert:
    run_id = judgement.run_id
    report = settings.metrics_dir / run_id / judgement.record["evaluation_id"] / PAGE
    what = f"Run {run_id} is version {version}, the champion now ({why})"
    do = "Nothing; `beatsight rollback` makes the champion before it the champion again"
    return Alert("promoted", f"version {version}", what, do, time.time(), report_link(settings, report))


def _rolled_back(settings: Settings, before: int, target: int, entry: dict[str, Any]) -> Alert:
    what = f"Version {target} is the champion again, in place of version {before}. Reason: {entry['why']}"
    card = report_link(settings, version_folder(settings, target) / CARD)
    return Alert("rolled_back", f"version {target}", what, "See `beatsight models`", time.time(), card)


def _already(settings: Settings, trained: Run) -> PromotionResult:
    """Nothing to promote; what an interrupted promotion, or a move of the data root, left pending is completed."""
    with exclusive_lock(settings.models_dir / LOCK, _WAITED_FOR):
        standing = read_pointer(settings)
        assert standing is not None  # the pointer is only ever replaced
        changes, pending = announce_if_possible(settings, standing)
    folder = version_folder(settings, standing.version)
    about, record = read_json(folder / VERSION), read_json(folder / GATE)
    return PromotionResult(
        run_id=trained.run_id,
        version=standing.version,
        previous=standing.previous,
        passed=record["passed"],
        criteria=tuple(record["criteria"]),
        record=record["digest"],
        infrastructure=_infrastructure(folder),
        forced=about["forced"],
        folder=folder,
        current=settings.models_dir / CURRENT_WEIGHTS,
        already=True,
        changes=tuple(change.told for change in changes),
        untold=pending,
        notice=joined_notices("it is the champion already", version_notice(about)),
    )


def _planned(settings: Settings, now: Champion, after: Champion) -> list[FileChange]:
    """Return what external files become: all of them when the champion changes, else those with pending updates."""
    if after is not now:
        return plan_announcement(settings, after)
    return plan_announcement(settings, now, to_be_written(external_places(settings, now)))


def _target(settings: Settings, now: Champion, wanted: int | None) -> int:
    """Return the version that a rollback is to."""
    target = now.previous if wanted is None else wanted
    if target is None:
        raise ModelError(
            f"Before version {now.version} there was no champion",
            where=settings.models_dir,
            do="see beatsight models, and name the version: beatsight rollback VERSION",
        )
    if target not in versions(settings):
        raise ModelError(f"There is no version {target}", where=settings.models_dir, do="see beatsight models")
    return target


def _meanwhile(asked_of: Champion, now: Champion) -> ModelError:
    done = {"promote": "was promoted", "rollback": "came back by a rollback"}.get(now.since["action"], "came")
    return ModelError(
        f"Nothing was rolled back, as the champion changed meanwhile: version {now.version} {done}",
        why=f"the rollback was asked for when it was version {asked_of.version}",
        do="see beatsight models; then roll back again, or name the version: beatsight rollback VERSION",
    )


def _infrastructure(folder: Path) -> tuple[GateRow, ...]:
    path = folder / INFRASTRUCTURE
    return tuple(read_json(path)["checks"]) if path.is_file() else ()


def _refusal(judgement: Judgement) -> GateError:
    failed = judgement.failed
    told = "; ".join(_told(row) for row in failed)
    do = "train longer or on more data, or look at the evaluation's report"
    stays = [row["name"] for row in failed if row["name"] in UNFORCEABLE]
    force = f"no reason lets {' and '.join(stays)} pass" if stays else "--force REASON promotes it all the same"
    return GateError(
        f"Run {judgement.run_id} is not promoted, as {len(failed)} of {len(judgement.record['criteria'])} criteria are "
        f"not met: {told}",
        where=judgement.path,
        why=judgement.notice,
        do=f"{do}; {force}{'' if stays else ' and says so for ever'}",
    )


def _told(row: GateRow) -> str:
    gate = Gate.from_json(row)
    said, by = written(gate), f", set by {gate.setting}" if gate.setting else ""
    limit = f"{gate.limit.sign} {gate.limit.value:g}"  # as it is set: rounded it might not say why the gate failed
    return f"{gate.name} {said.value}, limit {limit}{by} ({gate.message})"


def _entry(action: str, about: dict[str, Any], why: str) -> dict[str, Any]:
    done = who_and_when()
    return {
        "action": action,
        "run_id": about["run_id"],
        "why": why,
        "forced": about["forced"],
        "notice": about["notice"],
        "at": done["at"],
        "by": f"{done['user']}@{done['host']}",
    }


def reason_given(force: str | None) -> str | None:
    """Return the reason for a promotion by force, without blanks around it.

    Raises:
        UsageError: The reason is empty.
    """
    if force is not None and not force.strip():
        raise UsageError("Promotion by force needs a reason", do='give one: --force "why it is right all the same"')
    return force.strip() if force else None


def _number(version: str | int) -> int:
    text = str(version).removeprefix("v")
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise UsageError(f"{version!r} is not a version", do="give its number, as beatsight models lists it")
    return int(text)

"""The events of runs, followed for alerts: runs that fail, gates that fail, and steps that make no progress.

What was seen is the cursor, as JSON: since when runs are followed, the runs that were under way with the place in their
log and the last event of each step, and the runs that ended a moment ago. Nothing from before is told. A look reads
what is new, as far as its time allows; the next one goes on there.
"""

import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import orjson
from dagster import DagsterEventType, DagsterRunStatus

from beatsight_core.alerts.alert import Alert
from beatsight_core.alerts.report_link import report_link, run_link
from beatsight_core.errors import DatasetError
from beatsight_core.settings import Settings
from beatsight_core.typed_json import from_json, to_json
from beatsight_dagster.checks.told import PAGE, REPORTS, report_of
from beatsight_dagster.failures import why_run_failed

BUDGET_S = 15.0
"""Time of a look; Dagster gives it 60 s."""

PAGE_EVENTS = 500
"""Events that are read at once."""

_OVERLAP_S = 60.0
"""Time for which ended runs are remembered, as clocks and transactions are not exact."""

_BEGINS = {DagsterEventType.STEP_START, DagsterEventType.STEP_RESTARTED}
_ENDS = {
    DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SKIPPED,
    DagsterEventType.STEP_UP_FOR_RETRY,
}  # fmt: skip
_UNDER_WAY = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
_LOOKED_AT = [*_UNDER_WAY, DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


@dataclass(slots=True)
class FollowedStep:
    """A step that works: time of its last event in seconds since 1970, and whether its silence was told."""

    last: float
    told: bool = False


@dataclass(slots=True)
class FollowedRun:
    """A run that is under way.

    Attributes:
        place: Place in its log up to which it was read.
        steps: Steps that work.
        reports: Asset and partition -> report of what was materialized last.
    """

    place: str | None = None
    steps: dict[str, FollowedStep] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class RunWatch:
    """What was seen of all runs.

    Attributes:
        since: Time from which on runs are followed, in seconds since 1970.
        seen: Time up to which changes of runs were looked at.
        runs: Id of each run under way.
        ended: Id of each run that ended a moment ago -> when it was last changed.
    """

    since: float
    seen: float
    runs: dict[str, FollowedRun] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None, now: float) -> "RunWatch":
        """Return what a cursor holds; one that begins now if there is none, or one of another version."""
        try:
            return from_json(cls, orjson.loads(cursor or ""))
        except (ValueError, DatasetError):
            return cls(now, now)

    def to_cursor(self) -> str:
        """Return the cursor."""
        return orjson.dumps(to_json(self)).decode()

    def look(self, instance: dg.DagsterInstance, settings: Settings, now: float | None = None) -> Iterator[Alert]:
        """Yield an alert for everything that happened since the last look.

        Args:
            instance: Dagster's instance.
            settings: Settings that say how long a step may be silent, and where reports are.
            now: Time in seconds since 1970; default: the present one.
        """
        now, until = time.time() if now is None else now, time.monotonic() + BUDGET_S
        changed = datetime.datetime.fromtimestamp(self.seen - _OVERLAP_S, datetime.UTC)
        records = [
            *(instance.get_run_records(dg.RunsFilter(run_ids=list(self.runs))) if self.runs else ()),
            *instance.get_run_records(dg.RunsFilter(statuses=_LOOKED_AT, updated_after=changed)),
        ]
        for record in {record.dagster_run.run_id: record for record in records}.values():
            run, at = record.dagster_run, record.update_timestamp.timestamp()
            if run.run_id in self.ended or (run.is_finished and run.run_id not in self.runs and at < self.since):
                continue
            followed = self.runs.setdefault(run.run_id, FollowedRun())
            yield from self._read(instance, settings, run, followed, until)
            if time.monotonic() > until:  # the rest is read at the next look
                return
            if run.is_finished:
                del self.runs[run.run_id]
                self.ended[run.run_id] = at
                if run.status is DagsterRunStatus.FAILURE:
                    yield _run_failed(instance, settings, run, record.end_time or at)
            else:
                yield from _silent_steps(settings, run, followed, now)
        self.seen = now
        # A run that was deleted is followed no more.
        self.runs = {name: self.runs[name] for name in self.runs if name in {one.dagster_run.run_id for one in records}}
        self.ended = {name: at for name, at in self.ended.items() if at > now - 2 * _OVERLAP_S}

    def _read(
        self, instance: dg.DagsterInstance, settings: Settings, run: dg.DagsterRun, followed: FollowedRun, until: float
    ) -> Iterator[Alert]:
        """Read what is new in the log of a run."""
        more = True
        while more and time.monotonic() <= until:
            page = instance.get_records_for_run(run.run_id, cursor=followed.place, limit=PAGE_EVENTS)
            for record in page.records:
                entry = record.event_log_entry
                _note(followed, entry)
                event = entry.dagster_event
                if (
                    event is not None
                    and entry.timestamp >= self.since
                    and (alert := _gate(settings, followed, event, run.run_id))
                ):
                    yield alert
            followed.place, more = page.cursor, page.has_more


def _note(followed: FollowedRun, entry: dg.EventLogEntry) -> None:
    """Note when a step said something, and where reports are."""
    event, step = entry.dagster_event, entry.step_key
    kind = event.event_type if event is not None else None
    if step and (kind in _BEGINS or step in followed.steps):
        followed.steps[step] = FollowedStep(entry.timestamp)
    if step and kind in _ENDS:
        followed.steps.pop(step, None)
    if event is not None and kind is DagsterEventType.ASSET_MATERIALIZATION:
        made = event.step_materialization_data.materialization
        if report := report_of(made.metadata, (PAGE, *REPORTS)):
            followed.reports[f"{made.asset_key.to_user_string()}|{made.partition}"] = report


def _gate(settings: Settings, followed: FollowedRun, event: dg.DagsterEvent, run_id: str) -> Alert | None:
    """An alert of a check that failed and that holds back what comes after it, or is an error."""
    if event.event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    check = event.asset_check_evaluation_data
    if check.passed or not (check.blocking or check.severity is dg.AssetCheckSeverity.ERROR):
        return None
    asset = check.asset_key.to_user_string()
    of = f"{asset} of {check.partition}" if check.partition else asset
    report = followed.reports.get(f"{asset}|{check.partition}")
    return Alert(
        "gate_failed",
        f"{check.check_name}, {of}",
        f"The check {check.check_name} of {of} failed: {check.description or 'it gives no reason'}",
        "Look at the report, mend the data or the limit, and run the step again; what it holds back does not go on",
        time.time(),
        report_link(settings, Path(report)) if report else run_link(settings, run_id),
    )


def _run_failed(instance: dg.DagsterInstance, settings: Settings, run: dg.DagsterRun, at: float) -> Alert:
    why = why_run_failed(instance, run.run_id)
    do = "Mend what it names, and start the job again: it goes on where it stopped"
    return Alert("run_failed", _name(run), f"{_name(run)} failed. {why}", do, at, run_link(settings, run.run_id))


def _silent_steps(settings: Settings, run: dg.DagsterRun, followed: FollowedRun, now: float) -> Iterator[Alert]:
    limit_s = settings.alerts.stuck_minutes * 60
    if not limit_s or run.status is not DagsterRunStatus.STARTED:
        return
    for step, state in followed.steps.items():
        if state.told or now - state.last < limit_s:
            continue
        state.told = True
        silent = f"has said nothing for {(now - state.last) / 60:,.0f} minutes"
        what = f"The step {step} of {_name(run)} {silent} (run {run.run_id[:8]})"
        do = "Look at its log and at the machine; terminate the run if it hangs, and start it again"
        yield Alert("step_stuck", f"{step}, {_name(run)}", what, do, state.last, run_link(settings, run.run_id))


def _name(run: dg.DagsterRun) -> str:
    tags = run.tags
    partition = tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_start")
    return f"{run.job_name} of {partition}" if partition else run.job_name

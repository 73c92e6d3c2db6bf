"""What came of a manifest's preparation so far, as Dagster's storage tells it: the truth that no cursor holds."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from beatsight_dagster.jobs import judge_data, prepare_data, probe, refresh
from beatsight_dagster.run_tags import CHAIN_TAG, DRIVE_TAG, PARTITION_TAG, STATE_TAG, until

LAST = {"health": judge_data.name, "probe": probe.name}
"""How far a preparation goes -> the job that it ends with."""

FOLLOWED_S = 120.0
"""A preparation whose next step was not asked for after so long has stopped."""

_MOST_RUNS = 50


@dataclass(frozen=True, slots=True)
class PreparationState:
    """What came of a manifest so far.

    Attributes:
        status: State of the preparation: "none", "running", "failed" or "done".
        run: Id of the newest run of its preparation, if there is one.
        states: States that runs of it had.
        newest: The newest of them.
    """

    status: str
    run: str | None = None
    states: frozenset[str] = frozenset()
    newest: str | None = None


def preparation_state(instance: dg.DagsterInstance, partition: str, since: float = 0.0) -> PreparationState:
    """Return what came of a manifest so far.

    Args:
        instance: Dagster's instance.
        partition: Partition of the manifest.
        since: Time in seconds since 1970; what was recorded before is of no account, save the states.
    """
    records = {record.dagster_run.run_id: record for record in _runs(instance, partition)}
    newest_first = sorted(records.values(), key=lambda record: record.storage_id, reverse=True)
    states = [record.dagster_run.tags[STATE_TAG] for record in newest_first if STATE_TAG in record.dagster_run.tags]
    known, newest = frozenset(states), states[0] if states else None
    counted = [record for record in newest_first if record.create_timestamp.timestamp() > since]
    if counted:
        return PreparationState(_status(counted[0]), counted[0].dagster_run.run_id, known, newest)
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("manifest"), asset_partitions=[partition])
    made = instance.fetch_materializations(wanted, limit=1).records
    by_hand = any(record.timestamp > since for record in made)
    run = newest_first[0].dagster_run.run_id if newest_first else None
    return PreparationState("done" if by_hand else "none", run, known, newest)


def _runs(instance: dg.DagsterInstance, partition: str) -> Iterable[dg.RunRecord]:
    """The newest runs of a manifest's preparation, those launched by hand included, but none of a terminal's own."""
    wanted: list[Mapping[str, Any]] = [{"tags": {CHAIN_TAG: partition}}]
    by_hand = (prepare_data, refresh, judge_data)
    wanted += [{"job_name": job.name, "tags": {PARTITION_TAG: partition}} for job in by_hand]
    for filters in wanted:
        for record in instance.get_run_records(filters=dg.RunsFilter(**filters), limit=_MOST_RUNS):
            if DRIVE_TAG not in record.dagster_run.tags:
                yield record


def _status(newest: dg.RunRecord) -> str:
    run = newest.dagster_run
    if not run.is_finished:
        return "running"
    if not run.is_success:
        return "failed"
    if run.job_name == LAST[until(run)]:
        return "done"
    ended = newest.end_time or newest.update_timestamp.timestamp()
    return "running" if time.time() - ended < FOLLOWED_S else "failed"

"""New manifests in the inbox become partitions and a run of `prepare_data`; `prepare_data` goes on to its next steps.

What the inbox held is remembered in the cursor, as JSON: file name -> size, times, key, and what was asked for. A file
is looked into only when it changed, and asked for again only when its content did: touching a file that is prepared, or
a restart, starts nothing. When a file is complete is told in `settling`, when a manifest that was not prepared is asked
for again in `preparation`. A file that cannot be read is logged once and tried again at every look; the others do not
wait for it. A tick that starts nothing says of each manifest that waits what it waits for.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from beatsight_core.safe_text import for_terminal
from beatsight_dagster.jobs import export_data, judge_data, prepare_data, probe, refresh
from beatsight_dagster.partitions import (
    MANIFESTS,
    from_partition,
    register,
    source_range,
    to_partition,
)
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.run_tags import (
    CHAIN_TAG,
    DRIVE_TAG,
    MANIFEST_TAG,
    PARTITION_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    STAGE_TAG,
    STATE_TAG,
    UNTIL_TAG,
    until,
)
from beatsight_dagster.sensors.digesting import KEYS, key_or_why, work_name
from beatsight_dagster.sensors.preparation import Preparation
from beatsight_dagster.sensors.preparation_state import LAST
from beatsight_dagster.sensors.settling import (
    SETTLE_S,
    UNFILLED_S,
    State,
    file_state,
    is_replaced,
    is_same,
    is_settled,
    still_since,
)

BUDGET_S = 20.0
"""Digesting goes on beside the looks after so long; Dagster gives a look 60 s."""

_MOST_NOTES, _NOTE_CHARACTERS = 5, 400


@dg.sensor(
    job=prepare_data,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Watches manifests/ in the data root: each new content is registered as a partition and prepared once.",
)
def manifest_inbox(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SensorResult:
    """Register and prepare manifests that are new, new in content, or no longer held back by what held them back."""
    from beatsight_core.manifest.identity import digest_memory
    from beatsight_core.manifest.inbox.entries import inbox_entries

    current, remembered = settings.load(), json.loads(context.cursor) if context.cursor else {}
    entries = inbox_entries(current)
    files = [entry.path for entry in entries if not entry.problem]
    seen, fresh = _look(files, remembered, context.log, digest_memory(current))
    if not context.cursor:  # nobody knows when they came
        for known in seen.values():
            known["arrived"] = None
    preparation = Preparation(context.instance, current)
    requests = preparation.requests(seen.values())
    notes = [f"{entry.path.name}: left out: {entry.problem}" for entry in entries if entry.problem]
    notes += [f"{name}: {entry['says']}" for name, entry in seen.items() if entry.get("says")]
    _log_news(seen, remembered, context.log)
    asked = {str(request.partition_key) for request in requests}
    partitions = sorted(asked | {to_partition(key) for key in fresh if not preparation.is_forgotten(key)})
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else _summary(seen, notes),
        dynamic_partitions_requests=[MANIFESTS.build_add_request(partitions)] if partitions else [],
        cursor=json.dumps(seen),
    )


def _log_news(seen: Mapping[str, Any], remembered: Mapping[str, Any], log: logging.Logger) -> None:
    """Log what a manifest waits for, once."""
    for name, entry in seen.items():
        said = entry.get("says")
        if said and not entry["error"] and said != remembered.get(name, {}).get("says"):
            log.info(for_terminal(f"{name}: {said}"))


def _summary(seen: Mapping[str, Any], notes: Sequence[str]) -> str:
    """What a tick that starts nothing says."""
    writing = sum(entry["pending"] and not entry["error"] for entry in seen.values())
    said = [f"nothing new in the inbox: {len(seen)} manifests, {writing} being written"]
    said += [note if len(note) <= _NOTE_CHARACTERS else f"{note[:_NOTE_CHARACTERS]}…" for note in notes[:_MOST_NOTES]]
    if len(notes) > _MOST_NOTES:
        said.append(f"and {len(notes) - _MOST_NOTES} more")
    return for_terminal("; ".join(said))


def _look(
    files: list[Path], remembered: Mapping[str, Any], log: logging.Logger, memory: Path | None = None
) -> tuple[dict[str, Any], list[str]]:
    """What the inbox holds now, and the keys of contents not seen before."""
    now, deadline = time.time(), time.monotonic() + BUDGET_S
    known = {entry["key"] for entry in remembered.values() if entry["key"]}
    seen: dict[str, Any] = {}
    fresh: list[str] = []
    for file in files:
        before, state = remembered.get(file.name, {}), file_state(file)
        if state is None:  # moved away meanwhile
            continue
        entry = seen[file.name] = _entry(before, state, now)
        if not entry["pending"] or not is_settled(before, state, now, SETTLE_S):
            continue
        patient, wait_s = now - entry["since"] < UNFILLED_S, deadline - time.monotonic()
        found = key_or_why(file, state, before, wait_s, patient=patient, memory=memory)
        if found["error"] and found["error"] != before.get("error"):
            log.error(for_terminal(f"{file.name} is left out: {found['error']}"))
        key = found.pop("key")
        entry |= found
        if key:
            _take(entry, key)
            fresh += [key] if key not in known else []
            known.add(key)
    KEYS.forget_others({work_name(file, seen[file.name]) for file in files if file.name in seen})
    return seen, fresh


def _entry(before: Mapping[str, Any], state: State, now: float) -> dict[str, Any]:
    """What is known of a file before it is looked into: what was known of it, and its state now."""
    same = is_same(before, state)
    entry = {"key": None, **before, **state, "since": still_since(before, state, now), "error": None}
    entry["pending"] = not same or is_replaced(before, state) or before.get("pending", True)
    entry["says"] = None if entry["pending"] else before.get("says")
    if not same:
        entry |= {"arrived": time.time_ns(), "reading": False, "lost": 0}
    entry.setdefault("arrived", None)
    return entry


def _take(entry: dict[str, Any], key: str) -> None:
    """Note the key of a file that was digested; another content is another manifest, of which nothing was asked yet."""
    entry["pending"] = False
    if entry["key"] not in (None, key):
        for name in ("came", "retries", "asked", "mounted", "done", "failed"):
            entry.pop(name, None)
    entry["key"] = key


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[prepare_data, refresh, export_data, judge_data],
    request_jobs=[export_data, judge_data, probe],
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Follows prepare_data and refresh with export_data, over all source sets that the manifest has, then "
        "judge_data, and then probe where that was asked for: by refresh, or by [automation] until."
    ),
)
def prepare_data_continues(
    context: dg.RunStatusSensorContext, settings: SettingsResource
) -> dg.RunRequest | dg.SkipReason:
    """Start the next step of a manifest's preparation; a step that failed, or a gate, has none."""
    run = context.dagster_run
    if DRIVE_TAG in run.tags:
        return dg.SkipReason(f"run {run.run_id} was started from a terminal, which goes on with it itself")
    carried = {tag: run.tags[tag] for tag in (STATE_TAG, UNTIL_TAG) if tag in run.tags}
    if run.job_name in (prepare_data.name, refresh.name):
        return _export_request(context.instance, settings, run.tags[PARTITION_TAG], run.run_id, carried)
    chain = run.tags.get(CHAIN_TAG)
    if chain is None:
        return dg.SkipReason(f"run {run.run_id} was started by itself, not by {prepare_data.name} or {refresh.name}")
    following = judge_data if run.job_name == export_data.name else probe
    if run.job_name == LAST[until(run)]:
        said = f"{chain} is ready: it was asked for until {until(run)}; what comes next a person decides"
        return dg.SkipReason(for_terminal(said))
    key = f"{following.name}:{run.run_id}"
    return dg.RunRequest(key, job_name=following.name, partition_key=chain, tags={CHAIN_TAG: chain, **carried})


def _export_request(
    instance: dg.DagsterInstance, settings: SettingsResource, partition: str, run_id: str, carried: Mapping[str, str]
) -> dg.RunRequest:
    from beatsight_core.manifest.read_manifest import open_catalog

    key = from_partition(partition)
    source_sets = open_catalog(settings.load(), key).source_sets
    register(instance, source_sets=source_sets)
    first, last = source_range(instance, key, source_sets)
    chain = {CHAIN_TAG: partition, MANIFEST_TAG: partition, STAGE_TAG: "export", **carried}
    return dg.RunRequest(
        f"export:{run_id}",
        job_name=export_data.name,
        tags={RANGE_START_TAG: first, RANGE_END_TAG: last, **chain},
    )

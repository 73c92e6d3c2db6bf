"""New manifests in the inbox become partitions and a run of `prepare_data`; `prepare_data` goes on to its next steps.

What the inbox held is remembered in the cursor, as JSON: file name -> size, time of change, key. A file is looked into
only when size or time differ, and asked for again only when its content does: touching a file, or a restart, starts
nothing. A file still being written is left until it has been still for `SETTLE_S` and looked the same twice. A file
that cannot be read is logged once and tried again at every look; the others do not wait for it.
"""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from beatsight_core.errors import BeatSightError
from beatsight_dagster.jobs import STAGE_TAG, export_data, judge_data, prepare_data
from beatsight_dagster.partitions import (
    MANIFESTS,
    from_partition,
    register,
    source_range,
    to_partition,
)
from beatsight_dagster.resources.settings import SettingsResource

SETTLE_S = 5.0
BUDGET_S = 20.0
"""Hashing goes on at the next look after so long; Dagster gives a look 60 s."""

CHAIN_TAG = "beatsight/chain"
"""Run tag: the manifest partition whose preparation the run belongs to."""

RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dg.sensor(
    job=prepare_data,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Watches manifests/ in the data root: each new content is registered as a partition and prepared once.",
)
def manifest_inbox(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SensorResult:
    """Register and prepare manifests that are new, or new in content."""
    from beatsight_core.manifest.identity import inbox_manifests

    remembered = json.loads(context.cursor) if context.cursor else {}
    seen, fresh = _look(inbox_manifests(settings.load()), remembered, context.log)
    partitions = [to_partition(key) for key in fresh]
    requests = [
        dg.RunRequest(run_key=f"manifest:{partition}", partition_key=partition, tags={CHAIN_TAG: partition})
        for partition in partitions
        if not _is_read(context.instance, partition)
    ]
    waiting = sum(entry["pending"] for entry in seen.values())
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else f"nothing new in the inbox: {len(seen)} manifests, {waiting} being written",
        dynamic_partitions_requests=[MANIFESTS.build_add_request(partitions)] if partitions else [],
        cursor=json.dumps(seen),
    )


def _is_read(instance: dg.DagsterInstance, partition: str) -> bool:
    """Whether a manifest was materialized before, by hand or from a terminal."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("manifest"), asset_partitions=[partition])
    return bool(instance.fetch_materializations(wanted, limit=1).records)


def _look(files: list[Path], remembered: Mapping[str, Any], log: logging.Logger) -> tuple[dict[str, Any], list[str]]:
    """What the inbox holds now, and the keys of contents not seen before."""
    deadline = time.monotonic() + BUDGET_S
    known = {entry["key"] for entry in remembered.values() if entry["key"]}
    seen: dict[str, Any] = {}
    fresh: list[str] = []
    for file in files:
        before = remembered.get(file.name, {})
        try:
            status = file.stat()
        except OSError:  # moved away meanwhile
            continue
        entry = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "key": before.get("key"), "error": None}
        same = all(before.get(name) == entry[name] for name in ("size", "mtime_ns"))
        settled = same and time.time() - status.st_mtime >= SETTLE_S
        pending = not same or before.get("pending", True)
        if settled and pending and time.monotonic() < deadline:
            key, entry["error"] = _key_or_error(file, before.get("error"), log)
            entry["key"] = key or entry["key"]
            pending = key is None
            if key and key not in known:
                known.add(key)
                fresh.append(key)
        seen[file.name] = {**entry, "pending": pending}
    return seen, fresh


def _key_or_error(file: Path, said: str | None, log: logging.Logger) -> tuple[str | None, str | None]:
    """The key of a manifest, or why it cannot be read; logged unless it was `said` before."""
    from beatsight_core.manifest.reader import manifest_key

    try:
        return manifest_key(file), None
    except (BeatSightError, OSError) as error:
        if str(error) != said:
            log.error(f"{file.name} is left out: {error}")
        return None, str(error)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[prepare_data, export_data],
    request_jobs=[export_data, judge_data],
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows prepare_data with export_data, over all source sets that the manifest has, then judge_data.",
)
def prepare_data_continues(
    context: dg.RunStatusSensorContext, settings: SettingsResource
) -> dg.RunRequest | dg.SkipReason:
    """Start the next step of a manifest's preparation."""
    run = context.dagster_run
    if run.job_name == prepare_data.name:
        partition = run.tags["dagster/partition"]
        return _export_request(context.instance, settings, partition, run.run_id)
    if partition := run.tags.get(CHAIN_TAG):
        tags = {CHAIN_TAG: partition}
        return dg.RunRequest(f"health:{run.run_id}", job_name=judge_data.name, partition_key=partition, tags=tags)
    return dg.SkipReason(f"run {run.run_id} was started by itself, not by {prepare_data.name}")


def _export_request(
    instance: dg.DagsterInstance, settings: SettingsResource, partition: str, run_id: str
) -> dg.RunRequest | dg.SkipReason:
    from beatsight_core.manifest.reader import open_catalog

    key = from_partition(partition)
    source_sets = open_catalog(settings.load(), key).source_sets
    register(instance, source_sets=source_sets)
    first, last = source_range(instance, key, source_sets)
    return dg.RunRequest(
        f"export:{run_id}",
        job_name=export_data.name,
        tags={RANGE_START_TAG: first, RANGE_END_TAG: last, CHAIN_TAG: partition, STAGE_TAG: "export"},
    )

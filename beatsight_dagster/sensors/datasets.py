"""Datasets that were exported elsewhere become known here, and whatever dataset is new warms its features.

`beatsight export` writes indexes without Dagster. `dataset_indexes` looks for those that are not what `dataset` was
last materialized as, and asks for a run of `record_dataset` over each: it exports nothing, and records what is there,
with its checks. `feature_warming` sees no difference between that and an export, and starts `feature_cache` by its
condition. Indexes of smoke runs (`--limit`) are left alone.

What was seen is remembered in the cursor, as JSON: path under the datasets' folder -> size and time of change; of an
index that may still change also since when it was seen like that; of one that is not recorded yet also zero and the
settings for which that was asked for. A record that failed is asked for again when index or settings changed.
"""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from beatsight_core.errors import BeatSightError
from beatsight_core.safe_text import for_terminal
from beatsight_core.settings import Settings
from beatsight_dagster.jobs import record_dataset
from beatsight_dagster.partitions import MANIFESTS, SOURCE_SETS, pair_partition, to_partition
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.run_tags import STAGE_TAG, STATE_TAG
from beatsight_dagster.sensors.preparation import settings_digest
from beatsight_dagster.sensors.settling import is_settled, still_since

if TYPE_CHECKING:
    from beatsight_core.dataset.index import Index

SETTLE_S = 5.0
"""An index is looked at once it has been still for so long: the run that wrote it may be about to say so itself."""

DATASET = dg.AssetKey("dataset")

Seen = dict[str, list[int]]
_CHANGING = 3
"""Numbers that are remembered of an index that may still change."""

feature_warming = dg.AutomationConditionSensorDefinition(
    "feature_warming",
    target=dg.AssetSelection.assets("feature_cache"),
    run_tags={STAGE_TAG: "export"},  # like an export it uses every core, and waits until none is under way
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Warms the features of every new dataset. Switched off here, it stays off.",
)


@dg.sensor(
    job=record_dataset,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records datasets that were exported from a terminal, so that they show here and are warmed.",
)
def dataset_indexes(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SensorResult:
    """Ask for a record of each index that is new, or new in content."""
    if _export_under_way(context.instance):
        return dg.SensorResult(skip_reason="an export is under way", cursor=context.cursor)
    current, remembered = settings.load(), json.loads(context.cursor) if context.cursor else {}
    seen, changed = _look(current, remembered, context.log)
    bearing, requests = int(settings_digest(current), 16), []
    unknown = {name: index for name, index in changed.items() if not _is_known(context.instance, index)}
    for name, index in unknown.items():
        state = [*seen[name][:2], 0, bearing]
        if remembered.get(name) != state and (request := _request(context.instance, index, state)):
            requests.append(request)
        seen[name] = state
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else _summary(seen, unknown),
        dynamic_partitions_requests=[
            MANIFESTS.build_add_request(sorted({to_partition(index.manifest) for index in changed.values()})),
            SOURCE_SETS.build_add_request(sorted({to_partition(index.source_set) for index in changed.values()})),
        ],
        cursor=json.dumps(seen),
    )


def _summary(seen: Seen, unknown: "Mapping[str, Index]") -> str:
    waiting = f"; not recorded yet, see the runs of record_dataset: {', '.join(sorted(unknown))}" if unknown else ""
    return for_terminal(f"{len(seen)} indexes, none new{waiting}")


def _request(instance: dg.DagsterInstance, index: "Index", state: list[int]) -> dg.RunRequest | None:
    """A request for the record of an index; none if a run was asked for the same index and settings before."""
    partition, asked = pair_partition(index.manifest, index.source_set), f"{state[1]:x}.{state[3]:08x}"
    run_key = f"dataset:{partition}:{index.digest[:12]}:{index.counts.hits}"
    tags = {"dagster/partition": partition, STATE_TAG: asked}
    if instance.get_runs(filters=dg.RunsFilter(job_name=record_dataset.name, tags=tags), limit=1):
        return None
    spent = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/run_key": run_key}), limit=1)
    return dg.RunRequest(
        run_key=f"{run_key}:{asked}" if spent else run_key,  # Dagster drops a key that it has had before
        partition_key=partition,
        run_config={"ops": {"dataset": {"config": {"record": True}}}},
        tags={STATE_TAG: asked},
    )


def _look(settings: Settings, remembered: Seen, log: logging.Logger) -> "tuple[Seen, dict[str, Index]]":
    """What lies in the datasets' folder now, and the indexes of whole manifests that changed or are not recorded."""
    from beatsight_core.dataset.index import read_index
    from beatsight_core.manifest.identity import split_limit

    seen: Seen = {}
    changed: dict[str, Index] = {}
    for path in sorted(settings.dataset_dir.glob("*/*.json")):
        name, state = str(path.relative_to(settings.dataset_dir)), _state(path)
        if state is None or path.name.startswith("."):
            continue
        seen[name], before = state, remembered.get(name, [])
        if before == state:
            continue
        if (before[:2] != state or len(before) == _CHANGING) and (since := _still_changing(before, state)):
            seen[name] = [*state, since]
            continue
        try:
            index = read_index(path)
        except (BeatSightError, OSError) as error:
            log.warning(for_terminal(f"{path} is left out: {error}"))
            continue
        if split_limit(index.manifest)[1] is None:
            changed[name] = index
    return seen, changed


def _still_changing(before: list[int], state: list[int]) -> int | None:
    """Since when an index was seen like this, in seconds, if whoever wrote it may be about to say so itself."""
    now = time.time()
    known = dict(zip(("size", "mtime_ns", "since"), before, strict=False))
    current = {"size": state[0], "mtime_ns": state[1]}
    old = now - state[1] / 1e9 >= SETTLE_S
    return None if old or is_settled(known, current, now, SETTLE_S) else int(still_since(known, current, now))


def _is_known(instance: dg.DagsterInstance, index: "Index") -> bool:
    """Whether an index is what its partition was last materialized as."""
    partition = pair_partition(index.manifest, index.source_set)
    wanted = dg.AssetRecordsFilter(asset_key=DATASET, asset_partitions=[partition])
    records = instance.fetch_materializations(wanted, limit=1).records
    materialization = records[0].asset_materialization if records else None
    found = {name: value.value for name, value in materialization.metadata.items()} if materialization else {}
    return found.get("digest") == index.digest and found.get("hits") == index.counts.hits


def _export_under_way(instance: dg.DagsterInstance) -> bool:
    """Whether a run is about to materialize datasets itself."""
    waiting = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=waiting))
    return any(DATASET in (run.asset_selection or ()) or run.job_name == "export_data" for run in runs)


def _state(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:  # removed meanwhile
        return None
    return [status.st_size, status.st_mtime_ns]

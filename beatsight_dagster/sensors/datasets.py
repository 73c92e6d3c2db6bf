"""Datasets that were exported elsewhere become known here, and whatever dataset is new warms its features.

`beatsight export` writes indexes without Dagster. `dataset_indexes` looks for those that are not what `dataset` was
last materialized as, and asks for a run of `record_dataset` over each: it exports nothing, and records what is there,
with its checks. `feature_warming` sees no difference between that and an export, and starts `feature_cache` by its
condition. Indexes of smoke runs (`--limit`) are left alone.

What was seen is remembered in the cursor, as JSON: path under the datasets' folder -> size and time of change.
"""

import json
import logging
import time
from pathlib import Path

import dagster as dg

from beatsight_core.dataset.index import Index
from beatsight_core.errors import BeatSightError
from beatsight_core.settings import Settings
from beatsight_dagster.jobs import STAGE_TAG, record_dataset
from beatsight_dagster.partitions import MANIFESTS, SOURCE_SETS, pair_partition, to_partition
from beatsight_dagster.resources.settings import SettingsResource

SETTLE_S = 5.0
"""An index is looked at once it has been still for so long: the run that wrote it may be about to say so itself."""

DATASET = dg.AssetKey("dataset")

Seen = dict[str, list[int]]

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
    seen, changed = _look(settings.load(), json.loads(context.cursor) if context.cursor else {}, context.log)
    fresh = [index for index in changed if not _is_known(context.instance, index)]
    return dg.SensorResult(
        run_requests=[_request(index) for index in fresh],
        skip_reason=None if fresh else f"{len(seen)} indexes, none new",
        dynamic_partitions_requests=[
            MANIFESTS.build_add_request(sorted({to_partition(index.manifest) for index in fresh})),
            SOURCE_SETS.build_add_request(sorted({to_partition(index.source_set) for index in fresh})),
        ],
        cursor=json.dumps(seen),
    )


def _request(index: Index) -> dg.RunRequest:
    partition = pair_partition(index.manifest, index.source_set)
    content = f"{index.digest[:12]}:{index.counts['hits']}"
    return dg.RunRequest(
        run_key=f"dataset:{partition}:{content}",  # Dagster drops a key that it has had before
        partition_key=partition,
        run_config={"ops": {"dataset": {"config": {"record": True}}}},
    )


def _look(settings: Settings, remembered: Seen, log: logging.Logger) -> tuple[Seen, list[Index]]:
    """What lies in the datasets' folder now, and the indexes of whole manifests that changed since the last look."""
    from beatsight_core.dataset.index import read_index
    from beatsight_core.manifest.identity import split_limit

    seen: Seen = {}
    changed = []
    for path in sorted(settings.dataset_dir.glob("*/*.json")):
        name, state = str(path.relative_to(settings.dataset_dir)), _state(path)
        if state is None or (remembered.get(name) != state and time.time_ns() - state[1] < SETTLE_S * 1e9):
            continue
        seen[name] = state
        if remembered.get(name) == state:
            continue
        try:
            index = read_index(path)
        except BeatSightError as error:
            log.warning(f"{path} is left out: {error}")
            continue
        if split_limit(index.manifest)[1] is None:
            changed.append(index)
    return seen, changed


def _is_known(instance: dg.DagsterInstance, index: Index) -> bool:
    """Whether an index is what its partition was last materialized as."""
    partition = pair_partition(index.manifest, index.source_set)
    wanted = dg.AssetRecordsFilter(asset_key=DATASET, asset_partitions=[partition])
    records = instance.fetch_materializations(wanted, limit=1).records
    materialization = records[0].asset_materialization if records else None
    found = {name: value.value for name, value in materialization.metadata.items()} if materialization else {}
    return found.get("digest") == index.digest and found.get("hits") == index.counts["hits"]


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

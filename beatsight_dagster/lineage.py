"""Which run of training an asset is about: the one that its upstream step made, as the event log remembers."""

from collections.abc import Sequence

import dagster as dg

TRAINED = ("warmup_probe", "baseline_model", "long_run_model")
"""What an evaluation follows."""

EVALUATED = ("evaluation_report",)
"""What a promotion follows."""

RELEASED = ("promoted_model", *EVALUATED)
"""What an archive follows: a refused run is archived too."""

_RUN_ID = "run_id"


def upstream_run(context: dg.AssetExecutionContext, assets: Sequence[str]) -> str | None:
    """The run named by the newest materialization of some assets in the step's partition.

    What this launch made, or the launch that it re-executes, goes before what any other made since.

    Args:
        context: Context of the step.
        assets: Any of these; the newest counts.

    Returns:
        None if none was ever materialized.
    """
    partition = context.partition_key
    for run_id in filter(None, (context.run.run_id, context.run.parent_run_id)):
        entries = context.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        made = [entry.asset_materialization for entry in entries]  # in the order in which they were written
        if named := [name for event in made if (name := _named(event, assets, partition))]:
            return named[-1]
    records = [record for asset in assets for record in _newest(context.instance, asset, partition)]
    for record in sorted(records, key=lambda record: record.storage_id, reverse=True):
        if name := _named(record.asset_materialization, assets, partition):
            return name
    return None


def _newest(instance: dg.DagsterInstance, asset: str, partition: str) -> Sequence[dg.EventLogRecord]:
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition])
    return instance.fetch_materializations(wanted, limit=1).records


def _named(event: dg.AssetMaterialization | None, assets: Sequence[str], partition: str) -> str | None:
    """The run that a materialization names, if it is of one of the assets in this partition."""
    if event is None or event.partition != partition or event.asset_key.to_user_string() not in assets:
        return None
    value = event.metadata.get(_RUN_ID)
    return str(value.value) if value is not None else None

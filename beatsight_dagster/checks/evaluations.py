"""Check evaluations of single partitions, for steps that make several partitions at once.

Dagster's own `AssetCheckResult` knows a partition only in a run of one. What it does for that one is done here for
each: the evaluation names its partition and points at the materialization that it is about; without that pointer an
automation condition would take the check for not evaluated.
"""

from collections.abc import Iterator

import dagster as dg

# Not exported, and the only way to say which materialization a check is about.
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

AssetEvent = dg.MaterializeResult[None] | dg.AssetCheckResult | dg.AssetCheckEvaluation | dg.Output[None]
"""What an asset yields."""


def evaluate_partitions(
    context: dg.AssetExecutionContext, spec: dg.AssetCheckSpec, results: dict[str, dg.AssetCheckResult]
) -> Iterator[AssetEvent]:
    """Record one check for several partitions; to be yielded after the asset's `MaterializeResult`.

    Args:
        context: Context of the step.
        spec: Check to record.
        results: Partition key -> result.
    """
    yield dg.Output(None, output_name=spec.get_python_identifier())
    for partition, result in results.items():
        yield evaluation_of(context.instance, spec, result, partition)


def evaluation_of(
    instance: dg.DagsterInstance, spec: dg.AssetCheckSpec, result: dg.AssetCheckResult, partition: str
) -> dg.AssetCheckEvaluation:
    """Return the evaluation of one check for one partition, which points at the partition's newest materialization."""
    return dg.AssetCheckEvaluation(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
        blocking=spec.blocking,
        partition=partition,
        target_materialization_data=_target(instance, spec.asset_key, partition),
    )


def _target(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str
) -> AssetCheckEvaluationTargetMaterializationData | None:
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition])
    records = instance.fetch_materializations(wanted, limit=1).records
    if not records:
        return None
    record = records[0]
    return AssetCheckEvaluationTargetMaterializationData(
        run_id=record.run_id, storage_id=record.storage_id, timestamp=record.timestamp
    )

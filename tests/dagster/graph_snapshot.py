"""The graph as data: keys, dependencies, partitions, checks, jobs, sensors. Users and tools rely on these.

After a change that is meant, write the snapshot anew and look at the difference:

    python tests/dagster/graph_snapshot.py
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg

SNAPSHOT = Path(__file__).parent / "snapshots" / "graph.json"


def graph() -> dict[str, Any]:
    """Everything of the definitions that others can name."""
    from beatsight_dagster.definitions import defs

    repository = defs.get_repository_def()
    nodes = repository.asset_graph
    assets = {key.to_user_string(): asset(nodes.get(key)) for key in sorted(nodes.get_all_asset_keys())}
    jobs = {job.name: job_entry(job) for job in repository.get_all_jobs() if not job.name.startswith("__")}
    sensors = {sensor.name: sensor_entry(sensor) for sensor in repository.sensor_defs}
    executor = defs.executor
    assert isinstance(executor, dg.ExecutorDefinition)
    return {
        "assets": assets,
        "jobs": jobs,
        "sensors": sensors,
        "resources": sorted(defs.resources or {}),
        "executor": executor.name,
    }


def asset(node: Any) -> dict[str, Any]:
    definition = node.assets_def
    return {
        "group": node.group_name,
        "deps": sorted(key.to_user_string() for key in node.parent_keys),
        "partitions": partitions(node.partitions_def),
        "checks": {
            spec.name: {"blocking": spec.blocking, "partitions": partitions(spec.partitions_def)}
            for spec in sorted(definition.check_specs, key=lambda spec: spec.name)
        },
        "config": sorted(definition.op.config_schema.config_type.fields) if has_config(definition) else [],
        "kinds": sorted(node.kinds),
        "owners": list(node.owners),
        "op_tags": dict(definition.op.tags),
        "automation": node.automation_condition.get_label() if node.automation_condition else None,
        "single_run_backfill": node.backfill_policy == dg.BackfillPolicy.single_run(),
        "summary": (node.description or "").splitlines()[0],
    }


def has_config(definition: dg.AssetsDefinition) -> bool:
    return hasattr(definition.op.config_schema.config_type, "fields")


def partitions(definition: dg.PartitionsDefinition | None) -> Any:
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return {dimension.name: partitions(dimension.partitions_def) for dimension in definition.partitions_defs}
    return f"dynamic {definition.name}" if isinstance(definition, dg.DynamicPartitionsDefinition) else None


def job_entry(job: dg.JobDefinition) -> dict[str, Any]:
    return {
        "assets": sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys),
        "partitions": partitions(job.partitions_def),
        "tags": dict(job.tags),
    }


def sensor_entry(sensor: dg.SensorDefinition) -> dict[str, Any]:
    return {
        "jobs": sorted(target.job_name for target in sensor.targets),
        "status": sensor.default_status.value,
        "every_s": sensor.minimum_interval_seconds,
    }


def as_text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(as_text(graph()), encoding="utf-8")
    print(f"wrote {SNAPSHOT}")

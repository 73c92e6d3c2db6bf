"""The manifest as a catalog of events and hits."""

import dagster as dg
from pydantic import Field

from beatsight_core.progress import Progress
from beatsight_dagster.assets import GROUP, OWNERS, Materialized
from beatsight_dagster.checks import manifest as checks
from beatsight_dagster.failures import failure, plain_failures
from beatsight_dagster.metadata import manifest_metadata
from beatsight_dagster.partitions import MANIFESTS, from_partition, register
from beatsight_dagster.resources.settings import SettingsResource


class ManifestConfig(dg.Config):
    """Where the manifest lies, if not in the inbox."""

    path: str | None = Field(default=None, description="The file; default: the one in manifests/ with this key.")


@dg.asset(
    partitions_def=MANIFESTS,
    group_name=GROUP,
    kinds={"json", "polars", "parquet"},
    owners=OWNERS,
    code_version="1",
    check_specs=checks.SPECS,
)
@plain_failures
def manifest(context: dg.AssetExecutionContext, config: ManifestConfig, settings: SettingsResource) -> Materialized:
    """A manifest's events and hits.

    One partition is one manifest (its file's stem and the beginning of its SHA-256). **Reads**
    `manifests/*.jsonl[.gz|.zst]`. **Writes** `catalog/<manifest>/`: `events.parquet`, `hits.parquet`, `rejected.jsonl`,
    `summary.json`; and registers the source sets that it meets as partitions. Unchanged input is recognised and costs
    nothing.

    **When it fails**: `rejected.jsonl` has every refused line with its number and reason; mend the manifest, which then
    is another partition, or the source set's settings (`unknown_labels`) in `beatsight.toml`.
    """
    from beatsight_core.manifest.read_manifest import build_catalog

    current, key = settings.load(), from_partition(context.partition_key)
    catalog = build_catalog(current, config.path or key, progress=Progress())
    if catalog.key != key:
        raise failure(f"{config.path} has the key {catalog.key}, not that of partition {key}")
    register(context.instance, source_sets=catalog.source_sets)
    summary = catalog.summary.to_json()
    return dg.MaterializeResult(
        metadata=manifest_metadata(summary, catalog.folder),
        check_results=checks.results(summary, current),
        data_version=dg.DataVersion(str(summary["inputs"])),
    )

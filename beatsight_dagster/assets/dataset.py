"""The clips of a manifest's source sets, and whether the whole is healthy."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from beatsight_core.progress import Progress
from beatsight_dagster.assets import GROUP, OWNERS, Materialized
from beatsight_dagster.assets.by_source import SourceResults, source_asset
from beatsight_dagster.checks import dataset as checks
from beatsight_dagster.checks.evaluations import AssetEvent
from beatsight_dagster.failures import plain_failures
from beatsight_dagster.live import live_progress
from beatsight_dagster.metadata import dataset_metadata, health_metadata
from beatsight_dagster.partitions import BY_MANIFEST, MANIFESTS, from_partition
from beatsight_dagster.resources.settings import SettingsResource


class ExportConfig(dg.Config):
    """How to export."""

    workers: int = Field(default=0, description="Processes; 0: what beatsight.toml says, else one per core.")
    overwrite: bool = Field(default=False, description="Write every shard again.")
    record: bool = Field(default=False, description="Export nothing: record what was exported from a terminal.")


@source_asset(
    deps=[dg.AssetDep("audio_inventory", partition_mapping=BY_MANIFEST)],
    kinds={"python", "parquet"},
    check_specs=checks.SPECS,
)
@plain_failures
def dataset(
    context: dg.AssetExecutionContext, config: ExportConfig, settings: SettingsResource
) -> Iterator[AssetEvent]:
    """The clips of a source set: onset-aligned, multi-label, as Parquet shards with an index.

    One partition is one source set of one manifest; several partitions are one export. **Reads** the catalog, the
    inventory and the audio. **Writes** `datasets/shards/` (immutable, shared by all manifests) and, last and at once,
    `datasets/<manifest>/<source set>.json`; then a page with clips to hear, `reports/datasets/<manifest>.html`. What is
    there already is reused; killed at any moment, it resumes. A source set that the manifest lacks is an empty
    partition.

    **When it fails**: `coverage` names why hits have no clip (a drive, broken files: see `audio_inventory`); a full
    drive says so before anything is written. Then materialize it again.
    """
    from beatsight_core.dataset.export import export_dataset
    from beatsight_core.dataset.index import index_path, read_index
    from beatsight_core.dataset.page.dataset_page import page_after_export
    from beatsight_core.typed_json import to_json

    current, found = settings.load(), SourceResults(context, settings.load())
    for manifest, source_sets in found.present.items():
        if not config.record:
            result = export_dataset(
                current, manifest, source_sets=source_sets, workers=config.workers or None, overwrite=config.overwrite,
                progress=live_progress(context, "export"),
            )  # fmt: skip
            context.log.info(f"{manifest}: {result.shards_written} shards written, {result.shards_reused} reused")
        page = page_after_export(current, manifest)
        for name in source_sets:
            index = read_index(index_path(current, manifest, name))
            judged = checks.results(to_json(index.counts), index.rejected, current)
            found.add(manifest, name, dataset_metadata(current, index, page), judged)
    yield from found.events()


@dg.asset(
    partitions_def=MANIFESTS,
    deps=[dg.AssetDep("dataset", partition_mapping=BY_MANIFEST)],
    group_name=GROUP,
    kinds={"python", "html"},
    owners=OWNERS,
    code_version="1",
    check_specs=checks.HEALTH_SPECS,
)
@plain_failures
def dataset_health(context: dg.AssetExecutionContext, settings: SettingsResource) -> Materialized:
    """Whether a manifest's data are worth training on: every gate, with its figures, as a report.

    One partition is one manifest with all its source sets. **Reads** the catalog, the inventory and the dataset's
    indexes. **Writes** `reports/health/<manifest>/report.html` and `.json`.

    **When it fails**: each failed gate says what to do. Limits are `[gates]` in `beatsight.toml`.
    """
    from beatsight_core.health.report import run_health

    current = settings.load()
    result = run_health(current, from_partition(context.partition_key), progress=Progress()).to_json()
    return dg.MaterializeResult(metadata=health_metadata(current, result), check_results=checks.health_results(result))

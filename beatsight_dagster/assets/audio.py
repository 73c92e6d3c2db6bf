"""What audio there is for a manifest."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from beatsight_core.progress import Progress
from beatsight_dagster.assets import GROUP, OWNERS
from beatsight_dagster.checks import audio as checks
from beatsight_dagster.checks.evaluations import AssetEvent
from beatsight_dagster.failures import failure, plain_failures
from beatsight_dagster.metadata import inventory_metadata
from beatsight_dagster.partitions import MANIFESTS, from_partition
from beatsight_dagster.resources.settings import SettingsResource


class InventoryConfig(dg.Config):
    """How closely to look."""

    deep: bool = Field(default=False, description="Decode every file whole, too: finds what only decoding shows.")


@dg.asset(
    partitions_def=MANIFESTS,
    deps=["manifest"],
    group_name=GROUP,
    kinds={"python", "parquet"},
    owners=OWNERS,
    code_version="1",
    check_specs=checks.SPECS,
)
@plain_failures
def audio_inventory(
    context: dg.AssetExecutionContext, config: InventoryConfig, settings: SettingsResource
) -> Iterator[AssetEvent]:
    """Every audio file that a manifest names: where it is, what its header says, what its lack costs.

    One partition is one manifest. **Reads** the roots of its source sets, in order; headers are remembered until a file
    changes. **Writes** `inventory.parquet` and `inventory.json` in the catalog's folder.

    **When it fails**: mount the drive or mend the files that the table names (the rest is in `inventory.parquet`), or
    correct the source set's `roots` in `beatsight.toml`. The sensor `manifest_inbox` then asks for a manifest of the
    inbox again by itself; anything else is materialized again by hand.
    """
    from beatsight_core.audio.absence import describe_absence
    from beatsight_core.audio.inventory import build_inventory
    from beatsight_core.manifest.read_manifest import open_catalog

    current = settings.load()
    catalog = open_catalog(current, from_partition(context.partition_key))
    inventory = build_inventory(current, catalog, deep=config.deep, progress=Progress())
    figures = inventory.figures()
    metadata, results = inventory_metadata(inventory.to_json()), checks.results(figures, current)
    yield dg.MaterializeResult(metadata=metadata, check_results=results)
    if checks.blocks(results):  # said here in a paragraph, before Dagster says that a check failed
        raise failure(describe_absence(figures, current) or "", {name: metadata[name] for name in checks.SHOWN})

"""What the assets of manifest x source set share: several partitions in one step, each with its own results."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import dagster as dg

from beatsight_core.safe_text import for_terminal
from beatsight_core.settings import Settings
from beatsight_dagster.assets import GROUP, OWNERS
from beatsight_dagster.checks.evaluations import AssetEvent, evaluate_partitions
from beatsight_dagster.checks.specs import check_result
from beatsight_dagster.metadata import ROW_COUNT, Metadata
from beatsight_dagster.partitions import MANIFEST_SOURCES, by_manifest, pair_partition
from beatsight_dagster.previews import accepted_previews

ABSENT = "This manifest has no events of this source set, so there is nothing to make."


def source_asset(
    *,
    deps: Sequence[str | dg.AssetDep],
    kinds: set[str],
    check_specs: Sequence[dg.AssetCheckSpec],
    op_tags: Mapping[str, str] | None = None,
    automation_condition: dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey] | None = None,
) -> Callable[[Callable[..., Iterator[AssetEvent]]], dg.AssetsDefinition]:
    """Return `dagster.asset`, partitioned by manifest x source set; several partitions are one run."""
    with accepted_previews():
        return dg.asset(
            partitions_def=MANIFEST_SOURCES,
            backfill_policy=dg.BackfillPolicy.single_run(),
            group_name=GROUP,
            owners=OWNERS,
            code_version="1",
            deps=deps,
            kinds=kinds,
            check_specs=check_specs,
            op_tags=op_tags,
            automation_condition=automation_condition,
        )


class SourceResults:
    """Collects what a step made of each of its partitions.

    Attributes:
        present: Manifest key -> those of the step's source sets that it has.
    """

    def __init__(self, context: dg.AssetExecutionContext, settings: Settings):
        from beatsight_core.manifest.read_manifest import open_catalog

        self._context = context
        self._made: dict[str, dict[str | None, dg.AssetCheckResult]] = {}
        self.present: dict[str, list[str]] = {}
        for manifest, source_sets in by_manifest(context.partition_keys).items():
            known = open_catalog(settings, manifest).source_sets
            self.present[manifest] = [name for name in source_sets if name in known]
            for name in set(source_sets) - set(known):
                self._add_absent(manifest, name)
        self.present = {manifest: names for manifest, names in self.present.items() if names}

    def add(
        self,
        manifest: str,
        source_set: str,
        metadata: Metadata,
        results: Iterable[dg.AssetCheckResult],
    ) -> None:
        """Keep the metadata and the check results of one partition."""
        partition = pair_partition(manifest, source_set)
        self._context.add_asset_metadata(metadata, partition_key=partition)
        self._made[partition] = {result.check_name: result for result in results}

    def events(self) -> Iterator[AssetEvent]:
        """What the asset yields: its materialization, then every check of every partition."""
        yield dg.MaterializeResult()
        for spec in self._context.assets_def.check_specs:
            results = {partition: made[spec.name] for partition, made in self._made.items()}
            yield from evaluate_partitions(self._context, spec, results)

    def _add_absent(self, manifest: str, source_set: str) -> None:
        self._context.log.info(for_terminal(f"{manifest} has no source set {source_set}: skipped"))
        empty: Metadata = {ROW_COUNT: dg.MetadataValue.int(0), "empty": dg.MetadataValue.text(ABSENT)}
        names = [spec.name for spec in self._context.assets_def.check_specs]
        self.add(manifest, source_set, empty, [check_result(name, True, ABSENT) for name in names])

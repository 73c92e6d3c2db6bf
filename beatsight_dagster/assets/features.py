"""The feature cache of a manifest's source sets."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from beatsight_core.progress import Progress
from beatsight_dagster.assets.by_source import SourceResults, source_asset
from beatsight_dagster.checks import features as checks
from beatsight_dagster.checks.evaluations import AssetEvent
from beatsight_dagster.executor import GPU_TAG
from beatsight_dagster.failures import plain_failures
from beatsight_dagster.metadata import features_metadata
from beatsight_dagster.resources.settings import SettingsResource

WARM = (
    # Missing, or older than its dataset, and not asked for since: also where the dataset was there before the sensor.
    (dg.AutomationCondition.newly_missing() | dg.AutomationCondition.any_deps_updated()).since(
        dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
    )
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
).with_label("warm_new_datasets")
"""A dataset that is new, and passed its checks, is warmed once; if that fails, not again until it changes."""


class FeatureConfig(dg.Config):
    """Where to compute."""

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N among the devices leased to this step.")


@source_asset(
    deps=["dataset"],
    kinds={"pytorch", "numpy"},
    op_tags={GPU_TAG: "1"},
    automation_condition=WARM,
    check_specs=checks.SPECS,
)
@plain_failures
def feature_cache(
    context: dg.AssetExecutionContext, config: FeatureConfig, settings: SettingsResource
) -> Iterator[AssetEvent]:
    """Log-mel features of every clip of a source set, memory-mapped.

    One partition is one source set of one manifest. **Reads** the dataset's shards. **Writes**
    `features/<spec>/<shard>.*`, one file for each shard, shared by all manifests. Warming is incremental: only shards
    without features are computed. The sensor `feature_warming` starts it for each new dataset by itself.

    **When it fails**: materialize it again; it goes on where it was. Coverage below 100 % means that shards vanished:
    materialize `dataset` first.
    """
    from beatsight_core.features.build import build_features

    current, found = settings.load(), SourceResults(context, settings.load())
    for manifest, source_sets in found.present.items():
        for name in source_sets:
            result = build_features(current, manifest, source_sets=[name], device=config.device, progress=Progress())
            judged = checks.result(result.coverage, result.clips)
            found.add(manifest, name, features_metadata(result.to_json()), [judged])
    yield from found.events()

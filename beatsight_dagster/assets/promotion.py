"""The release: a run becomes the champion, and is archived."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from beatsight_core.errors import GateError, UnfitError
from beatsight_core.progress import Progress
from beatsight_dagster.asked_for import only_by_name
from beatsight_dagster.assets import GROUP, OWNERS
from beatsight_dagster.checks import promotion as checks
from beatsight_dagster.checks.evaluations import AssetEvent
from beatsight_dagster.executor import GPU_TAG
from beatsight_dagster.failures import failure, plain_failures
from beatsight_dagster.lineage import EVALUATED, RELEASED, upstream_run
from beatsight_dagster.metadata import archive_metadata, promotion_metadata
from beatsight_dagster.partitions import MANIFESTS, from_partition
from beatsight_dagster.resources.settings import SettingsResource


class PromotionConfig(dg.Config):
    """Which run."""

    run: str | None = Field(
        default=None, description="Run id or the beginning of one. Default: what was evaluated here last."
    )
    force: str | None = Field(
        default=None, description="Promote although a criterion fails; the reason, kept for ever."
    )
    judge_again: bool = Field(
        default=False, description="Write a new gate record over one that is altered or stale and therefore refused."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N among the devices leased to this step.")


class ArchiveConfig(dg.Config):
    """Which run."""

    run: str | None = Field(
        default=None, description="Run id or the beginning of one. Default: what was promoted or evaluated here last."
    )


@dg.asset(
    partitions_def=MANIFESTS,
    deps=["evaluation_report"],
    group_name=GROUP,
    kinds={"pytorch"},
    owners=OWNERS,
    code_version="1",
    op_tags={GPU_TAG: "1"},
    check_specs=checks.SPECS,
    output_required=False,
)
@plain_failures
@only_by_name
def promoted_model(
    context: dg.AssetExecutionContext, config: PromotionConfig, settings: SettingsResource
) -> Iterator[AssetEvent]:
    """The champion, if a run meets every criterion.

    One partition is one manifest. By default it promotes the run that was evaluated here last, else the newest finished
    one. **Reads** the run and its evaluation, by digest. **Writes** `models/versions/<n>/`, the gate record, and last,
    at once, `models/current_drum_classifier.pth` with its sidecar; then the configurations and pages that `[release]`
    names. It is done only when it is asked for by name: by the job `release`, or selected alone.

    **When it fails**: the refused criteria are listed with value, limit and margin; nothing was changed. A gate record
    that was altered or is stale is refused with what differs; `judge_again` judges anew. A version that is not fit for
    use (it does not load in a fresh process, is too slow or too large) is never promoted. Take back a promotion with
    `beatsight rollback`.
    """
    from beatsight_core.promotion.judge import judge, judged
    from beatsight_core.promotion.promote import promote
    from beatsight_core.runs.candidate import candidate

    current = settings.load()
    run = candidate(current, from_partition(context.partition_key), config.run or upstream_run(context, EVALUATED))
    verdict, asked_by = judge if config.judge_again else judged, context.run.run_id
    try:
        judgement = verdict(current, run.run_id, device=config.device, progress=Progress(), dagster_run=asked_by)
    except GateError as error:
        raise failure(f"{error} Or launch again with judge_again: true.") from None
    results = checks.results(judgement.to_json(), forced=config.force)
    if not judgement.may_pass(config.force):
        yield from results
        refused = "; ".join(row["message"] for row in judgement.failed)
        raise failure(f"{run.run_id} is refused: {refused}. All criteria: {judgement.path}")
    try:
        result = promote(
            current, run.run_id, force=config.force, device=config.device, judgement=judgement, progress=Progress()
        )
    except GateError as error:  # its files are not fit for use, which no reason helps; or its record was overtaken
        yield from [*results, *([checks.fitness(error.rows)] if isinstance(error, UnfitError) else [])]
        raise
    yield dg.MaterializeResult(
        metadata=promotion_metadata(result.to_json(), judgement.path),
        check_results=[*results, checks.fitness(result.infrastructure)],
        data_version=dg.DataVersion(f"{result.version}-{result.record[:12]}"),
    )


@dg.asset(
    partitions_def=MANIFESTS,
    deps=["promoted_model"],
    group_name=GROUP,
    kinds={"python"},
    owners=OWNERS,
    code_version="1",
    output_required=False,
)
@plain_failures
@only_by_name
def run_archive(
    context: dg.AssetExecutionContext, config: ArchiveConfig, settings: SettingsResource
) -> Iterator[AssetEvent]:
    """What a later reader needs to understand a run, with checksums.

    One partition is one manifest. By default it archives the run that this launch promoted, else the one promoted or
    evaluated here last, else the newest finished one. **Reads** the dataset's indexes, the reports, the run. **Writes**
    `reports/archive/YYYYMMDD/<run id>/`.

    **When it fails**: materialize it again; a refused run can be archived too, by materializing this alone.
    """
    from beatsight_core.promotion.archive.write_archive import archive_run
    from beatsight_core.runs.candidate import candidate

    current = settings.load()
    run = candidate(current, from_partition(context.partition_key), config.run or upstream_run(context, RELEASED))
    yield dg.MaterializeResult(metadata=archive_metadata(archive_run(current, run.run_id).to_json()))

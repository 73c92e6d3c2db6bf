"""The judgement of a run on labelled hits."""

from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from beatsight_core.errors import BeatSightError
from beatsight_core.progress import Progress
from beatsight_core.settings import Settings
from beatsight_dagster.assets import GROUP, OWNERS, Materialized
from beatsight_dagster.checks import evaluation as checks
from beatsight_dagster.checks.evaluations import evaluation_of
from beatsight_dagster.checks.told import tell_failures
from beatsight_dagster.executor import GPU_TAG
from beatsight_dagster.failures import failure, plain_failures
from beatsight_dagster.lineage import TRAINED, upstream_run
from beatsight_dagster.metadata import evaluation_metadata
from beatsight_dagster.partitions import MANIFESTS, from_partition
from beatsight_dagster.resources.settings import SettingsResource

if TYPE_CHECKING:
    from beatsight_core.runs.records import Run


class EvaluationConfig(dg.Config):
    """Which run, on which hits."""

    run: str | None = Field(
        default=None, description="Run id or the beginning of one. Default: what was trained here last."
    )
    on: str | None = Field(default=None, description="Another manifest to evaluate on: path, name or key.")
    split: str = Field(default="val", description="val, or all.")
    fraction: float | None = Field(default=None, description="A stratified, seeded share of those hits, as 0.3.")
    against: str | None = Field(
        default=None, description="Compare with this run or version too, beside the previous run and the champion."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N among the devices leased to this step.")


@dg.asset(
    partitions_def=MANIFESTS,
    deps=["warmup_probe", "baseline_model", "long_run_model"],
    group_name=GROUP,
    kinds={"pytorch", "html"},
    owners=OWNERS,
    code_version="1",
    op_tags={GPU_TAG: "1"},
    check_specs=checks.SPECS,
)
@plain_failures
def evaluation_report(
    context: dg.AssetExecutionContext, config: EvaluationConfig, settings: SettingsResource
) -> Materialized:
    """All metrics of a finished run, its confusions, its surest mistakes, and what changed, as a report.

    One partition is one manifest. What is trained is evaluated at once, by the step that trained it. By itself this
    evaluates the run trained here last, else the newest finished one, on its validation split. It compares that run
    with the run of its preset before it and with the champion. **Reads** `runs/<run id>/`, the feature cache and the
    clips of mistakes. **Writes** `reports/metrics/<run id>/<evaluation>/`, and the runbook's `<preset>_confusion` and
    `<preset>_misclassified` files.

    **When it fails**: without a finished run, launch `probe` or `baseline_refresh`. If settings ask for other features
    than the run learned from, evaluate with the settings of then.
    """
    from beatsight_core.runs.candidate import candidate

    current = settings.load()
    run = candidate(current, from_partition(context.partition_key), config.run or upstream_run(context, TRAINED))
    return _evaluated(current, run, config)


def record_evaluation(context: dg.AssetExecutionContext, settings: Settings, run: "Run", device: str) -> None:
    """Evaluate a run that this step has just trained, and record that as `evaluation_report`.

    Were it a step of its own, each training job would select `evaluation_report`, and the UI would ask before the first
    probe whether the long run, on which a report may rest as well, should be made first.

    Raises:
        dagster.Failure: The evaluation could not be made, or it does not agree with the run.
    """
    try:
        made = _evaluated(settings, run, EvaluationConfig(device=device))
    except BeatSightError as error:
        raise failure(f"{run.run_id} is trained, and cannot be evaluated: {error}") from None
    asset, partition = dg.AssetKey("evaluation_report"), context.partition_key
    tags = {"dagster/data_version": made.data_version.value} if made.data_version else {}
    context.log_event(dg.AssetMaterialization(asset, partition=partition, metadata=made.metadata, tags=tags))
    for check in made.check_results or ():
        context.log_event(evaluation_of(context.instance, checks.AGREES, check, partition))
        tell_failures(context, check)
        if not check.passed:
            raise failure(f"The evaluation of {run.run_id} does not agree with it: {check.description}")


def _evaluated(settings: Settings, run: "Run", config: EvaluationConfig) -> Materialized:
    from beatsight_core.evaluation.evaluate import HitSelection, evaluate

    result = evaluate(
        settings, run.run_id, HitSelection(config.on, config.split, config.fraction),
        against=config.against, compare=True, device=config.device, progress=Progress(),
    ).to_json()  # fmt: skip
    same_hits = config.on is None and config.split == "val" and config.fraction is None
    return dg.MaterializeResult(
        metadata=evaluation_metadata(settings, result),
        check_results=checks.results(result, (run.metrics or {})["metrics"], same_hits=same_hits),
        data_version=dg.DataVersion(str(result["evaluation_id"])),
    )

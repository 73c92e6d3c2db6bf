"""The judgement of a run on labelled hits."""

import dagster as dg
from pydantic import Field

from beatsight_core.progress import Progress
from beatsight_dagster.assets import OWNERS, Materialized
from beatsight_dagster.checks import evaluation as checks
from beatsight_dagster.executor import GPU_TAG
from beatsight_dagster.failures import plain_failures
from beatsight_dagster.lineage import TRAINED, upstream_run
from beatsight_dagster.metadata import evaluation_metadata
from beatsight_dagster.partitions import MANIFESTS, from_partition
from beatsight_dagster.resources.settings import SettingsResource


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
    group_name="release",
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

    One partition is one manifest. By default it evaluates the run that this launch trained, else the one trained here
    last, else the newest finished one, on its validation split. It compares that run with the run of its preset before
    it and with the champion. **Reads** `runs/<run id>/`, the feature cache and the clips of mistakes. **Writes**
    `reports/metrics/<run id>/<evaluation>/`, and the runbook's `<preset>_confusion` and `<preset>_misclassified` files.

    **When it fails**: without a finished run, launch `probe` or `baseline_refresh`. If settings ask for other features
    than the run learned from, evaluate with the settings of then.
    """
    from beatsight_core.evaluation.evaluate import HitSelection, evaluate
    from beatsight_core.runs.candidate import candidate

    current = settings.load()
    run = candidate(current, from_partition(context.partition_key), config.run or upstream_run(context, TRAINED))
    result = evaluate(
        current, run.run_id, HitSelection(config.on, config.split, config.fraction),
        against=config.against, compare=True, device=config.device, progress=Progress(),
    ).to_json()  # fmt: skip
    same_hits = config.on is None and config.split == "val" and config.fraction is None
    return dg.MaterializeResult(
        metadata=evaluation_metadata(current, result),
        check_results=checks.results(result, (run.metrics or {})["metrics"], same_hits=same_hits),
        data_version=dg.DataVersion(str(result["evaluation_id"])),
    )

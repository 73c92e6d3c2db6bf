"""The trained models: the warm-up probe, the baseline, the long run. Presets are data; these are their assets."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from beatsight_core.settings import Settings
from beatsight_dagster.asked_for import only_by_name
from beatsight_dagster.assets import GROUP, OWNERS, Materialized
from beatsight_dagster.assets.evaluation import record_evaluation
from beatsight_dagster.checks import training as checks
from beatsight_dagster.checks.evaluations import AssetEvent
from beatsight_dagster.executor import GPU_TAG
from beatsight_dagster.failures import failure, plain_failures
from beatsight_dagster.live import live_progress
from beatsight_dagster.partitions import BY_MANIFEST, MANIFESTS, from_partition
from beatsight_dagster.preset_config import PresetValues, given
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.training_metadata import training_metadata

if TYPE_CHECKING:
    from beatsight_core.runs.overrides import GateOverride

DATA = [dg.AssetDep("feature_cache", partition_mapping=BY_MANIFEST), dg.AssetDep("dataset_health")]

AFTER_A_CRASH = dg.RetryPolicy(max_retries=2)
"""A step whose process was killed starts again, on a device leased anew, and goes on from its last checkpoint."""


class TrainingLaunch(dg.Config):
    """What differs from the preset, and what it goes on without."""

    overrides: PresetValues = Field(  # type: ignore[valid-type]
        default_factory=PresetValues, description="Values of the preset to change, as epochs: 4; all others stay."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N among the devices leased to this step.")
    fresh: bool = Field(
        default=False, description="Start again instead of going on with this run, which is put aside and stays."
    )
    extend: str | None = Field(
        default=None, description="A run whose newest checkpoint a new run, with more epochs, goes on from."
    )
    max_seconds: float | None = Field(
        default=None,
        description="End an attempt before so many seconds are over, with a checkpoint, and free the device.",
    )
    attempts: int | None = Field(
        default=None,
        description="Attempts of max_seconds in this launch (1); between two of them the step queues again.",
    )
    override_health: str | None = Field(
        default=None,
        description="Go on without a health report that passed, where one is asked for; kept with the run.",
    )
    override_probe: str | None = Field(
        default=None, description="Go on without a probe that passed, where one is asked for; kept with the run."
    )
    probe: str | None = Field(
        default=None, description="The probe that a long run goes by; by default the newest of its recipe and data."
    )
    override_version: str | None = Field(
        default=None,
        description="With fresh, although a model version came of the run: why. Kept with the run that is put aside.",
    )


def training_asset(
    deps: Sequence[dg.AssetDep], check_specs: Sequence[dg.AssetCheckSpec], *, output_required: bool = True
) -> Callable[[Callable[..., Materialized | Iterator[AssetEvent]]], dg.AssetsDefinition]:
    """Return `dagster.asset` for a trained model, which asks for a device."""
    return dg.asset(
        partitions_def=MANIFESTS, group_name=GROUP, kinds={"pytorch"}, owners=OWNERS, code_version="1",
        op_tags={GPU_TAG: "1"}, retry_policy=AFTER_A_CRASH, deps=deps, check_specs=check_specs,
        output_required=output_required,
    )  # fmt: skip


@training_asset(deps=DATA, check_specs=checks.specs("warmup_probe", probe=True))
@plain_failures
def warmup_probe(context: dg.AssetExecutionContext, config: TrainingLaunch, settings: SettingsResource) -> Materialized:
    """A short run that shows whether data and settings are worth a longer one (preset `warmup`, 8 epochs).

    One partition is one manifest with all its source sets. **Reads** the feature cache. **Writes** `runs/<run id>/`,
    and the evaluation of that run as `evaluation_report`. The id follows from preset, overrides, data and features, so
    the same launch goes on with an interrupted run and returns at once for a finished one.

    **When it fails**: the message says at which step and where the last good checkpoint is. A failed `probe_gate` holds
    back `long_run_model`; its table names the components that were not heard.
    """
    return _train("warmup", context, config, settings)


@training_asset(deps=DATA, check_specs=checks.specs("baseline_model"), output_required=False)
@plain_failures
@only_by_name
def baseline_model(
    context: dg.AssetExecutionContext, config: TrainingLaunch, settings: SettingsResource
) -> Iterator[AssetEvent]:
    """The refresh of the baseline (preset `baseline`, 60 epochs): what is promoted as a rule.

    One partition is one manifest with all its source sets. **Reads** the feature cache and the health report.
    **Writes** `runs/<run id>/`, and its evaluation as `evaluation_report`. It is trained only when it is asked for by
    name: by the job `baseline_refresh`, or selected alone.

    **When it fails**: without a health report that passed it refuses and names the gates; `override_health`, a reason,
    goes on anyway. Otherwise launch it again; it goes on from its last checkpoint.
    """
    yield _train("baseline", context, config, settings)


@training_asset(
    deps=[*DATA, dg.AssetDep("warmup_probe")], check_specs=checks.specs("long_run_model"), output_required=False
)
@plain_failures
@only_by_name
def long_run_model(
    context: dg.AssetExecutionContext, config: TrainingLaunch, settings: SettingsResource
) -> Iterator[AssetEvent]:
    """The long run (preset `long_run`, 220 epochs), behind healthy data and a healthy probe of the same manifest.

    One partition is one manifest with all its source sets. **Reads** the feature cache, the health report, and the
    record of the newest finished probe of the same recipe and data (or of `probe`). **Writes** `runs/<run id>/`,
    and its evaluation as `evaluation_report`. It is trained only when it is asked for by name: by the job `long_run`,
    or selected alone.

    **When it fails**: without healthy data or a healthy probe it refuses and says why (`override_health` and
    `override_probe`, reasons, go on without). Otherwise launch it again; it goes on from its last checkpoint.
    """
    yield _train("long_run", context, config, settings)


def _cleared(preset: str, key: str, config: TrainingLaunch, settings: Settings) -> "dict[str, GateOverride]":
    """The gates that are overridden.

    Raises:
        GateError: The preset may not train on this manifest.
    """
    from beatsight_core.promotion.clearance import HEALTH, PROBE, require_clearance
    from beatsight_core.runs.presets import load_preset

    reasons = {HEALTH: config.override_health, PROBE: config.override_probe}
    asked = load_preset(settings, preset, given(config.overrides))
    return require_clearance(settings, key, asked, reasons=reasons, probe=config.probe)


def _train(
    preset: str, context: dg.AssetExecutionContext, config: TrainingLaunch, settings: SettingsResource
) -> Materialized:
    from beatsight_core.errors import TimeLimitError
    from beatsight_core.training.run import RunOptions, open_run, train

    current, key = settings.load(), from_partition(context.partition_key)
    overridden = _cleared(preset, key, config, current)
    try:
        result = train(
            current, key, preset,
            overrides=given(config.overrides), device=config.device, progress=live_progress(context, f"train {preset}"),
            # A retry, of the step or of the run, goes on with what the first of these runs began.
            options=RunOptions(
                config.fresh, config.extend, config.max_seconds, context.run.root_run_id or context.run.run_id,
                tuple(overridden.values()), config.override_version,
            ),
        )  # fmt: skip
    except TimeLimitError as error:
        attempts = config.attempts or 1
        if context.retry_number + 1 < attempts:
            context.log.info(f"Attempt {context.retry_number + 1} of {attempts}: {error}")
            raise dg.RetryRequested(max_retries=attempts - 1) from None
        used = f"{attempts} attempt(s) of {config.max_seconds:g} s are used up"
        said = f"{used}: {error.why}. Materialize it again to go on, or give the launch more attempts"
        raise failure(said) from None
    run = open_run(current, result.run_id)
    probe = _judged(current, run.run_id, context, config) if preset == "warmup" else None
    record_evaluation(context, current, run, config.device)
    return dg.MaterializeResult(
        metadata={
            **training_metadata(current, result.to_json(), run),
            **{f"override of {gate}": str(override) for gate, override in overridden.items()},
        },
        check_results=checks.results(run.history, run.config.warmup_epochs, probe),
        data_version=dg.DataVersion(result.run_id),
    )


def _judged(
    settings: Settings, run_id: str, context: dg.AssetExecutionContext, config: TrainingLaunch
) -> dict[str, Any]:
    """The gate record of a probe that has just been trained; its evaluation is made for it."""
    from beatsight_core.errors import BeatSightError
    from beatsight_core.promotion.probe_record import judge_probe

    try:
        record = judge_probe(settings, run_id, device=config.device, dagster_run=context.run.run_id)
    except BeatSightError as error:
        raise failure(f"The probe is trained, and cannot be judged: {error}") from None
    said = "passed every gate: a long run may follow" if record["passed"] else "is not healthy: no long run may follow"
    context.log.info(f"Probe {run_id} {said}")
    return record

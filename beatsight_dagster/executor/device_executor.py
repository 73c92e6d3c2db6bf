"""The executor of the platform: a process a step, devices leased machine-wide, CPU steps limited.

Config, under `execution.config` of a run:

    max_cpu_steps      steps without a device at once; null: one per two cores
    no_device          "cpu" or "fail": what a step that wants a device does on a machine without
    devices            {step: number}: how many devices a step gets, instead of what its tag says
    max_memory_share   a device with more of its memory in use by others is left alone (0.5)
    grace_s            seconds from asking a step to end until killing it (15)
    poll_s             seconds between looks at the steps (0.1)
    retries            as for Dagster's own executors
    tag_concurrency_limits   likewise

A step says how many devices it wants by the op tag `beatsight/gpu`. See docs/devices.md.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TypedDict, cast

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config

_CONFIG = {
    "max_cpu_steps": dg.Field(
        dg.Noneable(dg.IntSource),
        is_required=False,
        description="Steps without a device that run at once. Default: one per two cores, at least two.",
    ),
    "no_device": dg.Field(
        dg.Enum("NoDevice", [dg.EnumValue("cpu"), dg.EnumValue("fail")]),
        is_required=False,
        description="On a machine without devices a step that wants one runs on the CPU (the default), or fails.",
    ),
    "devices": dg.Field(
        dg.Map(str, int, key_label_name="step"),  # type: ignore[no-untyped-call]  # Dagster gives it no types
        is_required=False,
        description="Devices for a step, by its name, instead of what its tag says: {long_run_model: 2}.",
    ),
    "max_memory_share": dg.Field(
        float,
        is_required=False,
        description="A device with more of its memory in use, by something that holds no lease, is left alone: 0.5.",
    ),
    "grace_s": dg.Field(
        float, is_required=False, description="Seconds from asking a step to end until killing it: 15."
    ),
    "poll_s": dg.Field(float, is_required=False, description="Seconds between two looks at the steps: 0.1."),
    "retries": get_retries_config(),  # type: ignore[no-untyped-call]
    "tag_concurrency_limits": get_tag_concurrency_limits_config(),  # type: ignore[no-untyped-call]
}


class ExecutorValues(TypedDict, total=False):
    """The executor's config, as Dagster hands it over after it was checked by the schema.

    It has no defaults there: the launchpad writes every default into the configuration of a new run.
    """

    max_cpu_steps: int | None
    no_device: str
    devices: Mapping[str, int]
    max_memory_share: float
    grace_s: float
    poll_s: float
    retries: Mapping[str, Mapping[str, str]]
    tag_concurrency_limits: Sequence[Mapping[str, str | int]] | None


@dg.executor(name="device_executor", config_schema=_CONFIG, requirements=multiple_process_executor_requirements())
def device_executor(init_context: dg.InitExecutorContext) -> dg.Executor:
    """Run each step in a process of its own; those tagged `beatsight/gpu` on devices leased for them."""
    from beatsight_dagster.executor.step_handler import HandlerConfig
    from beatsight_dagster.executor.step_loop import StepLoop

    config = cast(ExecutorValues, init_context.executor_config)
    return StepLoop(
        HandlerConfig(
            max_cpu_steps=config.get("max_cpu_steps") or max(2, (os.cpu_count() or 1) // 2),
            no_device=config.get("no_device", "cpu"),
            devices=config.get("devices", {}),
            max_memory_share=config.get("max_memory_share", 0.5),
            grace_s=config.get("grace_s", 15.0),
        ),
        RetryMode.from_config(config["retries"]) or RetryMode.ENABLED,
        poll_s=config.get("poll_s", 0.1),
        tag_concurrency_limits=config.get("tag_concurrency_limits"),
    )

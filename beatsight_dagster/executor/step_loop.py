"""Dagster's loop over the steps of a run, around `DeviceStepHandler`."""

from collections.abc import Iterator, Mapping, Sequence

from dagster import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.step_delegating import StepDelegatingExecutor

from beatsight_dagster.executor.step_handler import DeviceStepHandler, HandlerConfig


class StepLoop(StepDelegatingExecutor):
    """Starts steps as they become ready and watches them; leaves no process behind.

    Args:
        config: Configuration of how the steps are started.
        retries: Mode in which Dagster tries failed steps again.
        poll_s: Seconds between two looks at the steps.
        tag_concurrency_limits: Limits of steps with the same tag, as for Dagster's own executors.
    """

    def __init__(
        self,
        config: HandlerConfig,
        retries: RetryMode,
        *,
        poll_s: float,
        tag_concurrency_limits: Sequence[Mapping[str, str | int]] | None,
    ):
        self._handler = DeviceStepHandler(config)
        super().__init__(
            self._handler,
            retries=retries,
            sleep_seconds=poll_s,
            check_step_health_interval_seconds=0,  # each look also starts what waits
            max_concurrent=None,  # the handler limits: a step that waits for a device must not take a slot
            tag_concurrency_limits=[dict(limit) for limit in tag_concurrency_limits or ()] or None,
        )

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Run the plan."""
        self._handler.prepare()
        try:
            yield from super().execute(plan_context, execution_plan)
        finally:
            self._handler.finish()

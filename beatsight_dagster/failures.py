"""Failures in a paragraph: what an asset ends with instead of a trace, and why a run of long ago failed."""

import contextlib
import functools
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import ParamSpec, TypeVar, cast

import dagster as dg
from dagster import DagsterEventType

from beatsight_core.errors import UnexpectedError
from beatsight_core.safe_text import fence_for, for_terminal, paragraph_for_terminal
from beatsight_dagster.checks.evaluations import AssetEvent
from beatsight_dagster.checks.told import tell_failures

_KINDS = (
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.RUN_CANCELED,
)
_LONGEST = 600

P = ParamSpec("P")
R = TypeVar("R")


def failure(paragraph: str, metadata: Mapping[str, dg.MetadataValue | str] | None = None) -> dg.Failure:
    """Return a failure that says a paragraph; its step is not tried again, as the same would come of it.

    In a process that carries out one step and ends with it, errors are told without their trace from here on: the
    paragraph says what happened and where, and thirty lines of Dagster's own calls would hide it.
    """
    if _is_step_process():
        sys.tracebacklimit = 0
    return dg.Failure(paragraph, metadata=dict(metadata or {}), allow_retries=False)


def _is_step_process() -> bool:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name == "beatsight_dagster.executor.step_worker"


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Turn any error into a failure that says a paragraph: what, where, why, what to do.

    Those that were raised on purpose show no trace. Of one that nobody has foreseen the trace is in the metadata.
    """
    # Before the work and not after it, when there may be no memory and no file left to import with.
    from beatsight_core.compute.explained import explained, may_be_told

    try:
        yield
    except (dg.Failure, dg.RetryRequested, dg.DagsterError):
        raise
    except BaseException as error:  # told, with its trace
        if not may_be_told(error):
            raise
        told = explained(error, "the data root")
        places = {"where": told.where, "what to do": told.do}
        shown: dict[str, dg.MetadataValue | str] = {name: for_terminal(text) for name, text in places.items() if text}
        if isinstance(told, UnexpectedError):
            lines = for_terminal("".join(traceback.format_exception(error)), lines=True)
            fence = fence_for(lines)
            shown["trace"] = dg.MetadataValue.md(f"{fence}\n{lines}\n{fence}")
        raise failure(paragraph_for_terminal(str(told)), shown) from None


def plain_failures(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap the function of an asset or op by `told_plainly`; its signature stays as it is.

    What its checks found wrong is logged, too: Dagster's commands would only say their names.
    """
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*arguments: P.args, **named: P.kwargs) -> Iterator[AssetEvent]:
            with told_plainly():
                for event in cast(Iterator[AssetEvent], function(*arguments, **named)):
                    tell_failures(named.get("context", *arguments[:1]), event)
                    yield event

        return cast(Callable[P, R], generate)

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> R:
        with told_plainly():
            result = function(*arguments, **named)
            tell_failures(named.get("context", *arguments[:1]), result)
            return result

    return call


def innermost(event: dg.DagsterEvent) -> str:
    """Return the message of the error that began a step's failure, without its class path."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return event.message or "failed"
    message = error.message.strip()
    with contextlib.suppress(ValueError):
        kind, text = message.split(": ", 1)
        if " " not in kind:
            message = text
    return message


def why_run_failed(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return in a sentence or two why a run failed: its failed blocking checks, else the error of its step.

    Args:
        instance: Dagster's instance, whose log is read.
        run_id: Id of the run.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and run.is_success:
        return f"{run.job_name} is done and nothing followed it: see the sensor prepare_data_continues."
    entries = instance.all_logs(run_id, of_type=set(_KINDS))
    events = [entry.dagster_event for entry in entries if entry.dagster_event is not None]
    said = [innermost(event) for event in events if event.event_type is DagsterEventType.STEP_FAILURE]
    checks = [found for event in events if (found := _failed_check(event))]
    last = [event.message for event in events if event.message and not event.step_key]
    text = "; ".join(checks or said or last[-1:]) or "its run failed"
    text = paragraph_for_terminal(f"Run {run_id[:8]} said: {text}")
    return text if text.endswith((".", "…")) and len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip('. ')}."


def _failed_check(event: dg.DagsterEvent) -> str | None:
    """What a failed blocking check said."""
    if event.event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    check = event.asset_check_evaluation_data
    if check.passed or not check.blocking or check.severity is not dg.AssetCheckSeverity.ERROR:
        return None
    return f"{check.check_name}: {check.description or 'failed'}"

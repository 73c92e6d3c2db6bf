"""What costs days, or releases, is done only when it is asked for by name: `Materialize all` never does it.

A launch asks for such an asset by name if it is a launch of the asset's job, or of a selection that holds nothing but
assets of that job. A backfill, which is what `Materialize all` of the whole graph starts, is judged by what was
selected for it, and not by the run that Dagster cuts out of it.
"""

import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, cast

import dagster as dg

from beatsight_dagster.checks.evaluations import AssetEvent
from beatsight_dagster.jobs import baseline_refresh, long_run, release
from beatsight_dagster.run_tags import BACKFILL_TAG

JOBS = {
    "baseline_model": (baseline_refresh.name, {"baseline_model", "evaluation_report"}),
    "long_run_model": (long_run.name, {"long_run_model", "evaluation_report"}),
    "promoted_model": (release.name, {"promoted_model", "run_archive"}),
    "run_archive": (release.name, {"promoted_model", "run_archive"}),
}
"""Asset -> the job that names it, and the assets that a selection which asks for it may hold."""

P = ParamSpec("P")


def only_by_name(
    function: Callable[P, Iterator[AssetEvent]],
) -> Callable[P, Iterator[AssetEvent]]:
    """Wrap an asset's function: a launch that does not ask for the asset by name skips it, and says so.

    The asset needs `output_required=False`. What follows it in the same run is skipped, too.
    """

    @functools.wraps(function)
    def generate(*arguments: P.args, **named: P.kwargs) -> Iterator[AssetEvent]:
        context = cast(dg.AssetExecutionContext, named.get("context", *arguments[:1]))
        if refusal := why_not(context):
            context.log.warning(refusal)
            for spec in context.assets_def.check_specs:  # neither passed nor failed
                yield dg.Output(None, output_name=spec.get_python_identifier())
            return
        yield from function(*arguments, **named)

    return generate


def why_not(context: dg.AssetExecutionContext) -> str | None:
    """Return why a launch does not do what it did not ask for by name; None if it did ask."""
    asset = context.asset_key.to_user_string()
    job, may_hold = JOBS[asset]
    run = context.run
    if run.job_name == job or _selected(context) <= may_hold:
        return None
    return f"{asset} was not asked for by name, so nothing was done. Launch the job {job}, or select {asset} alone."


def _selected(context: dg.AssetExecutionContext) -> set[str]:
    """The assets that were selected for the launch that a step belongs to."""
    backfill = context.instance.get_backfill(context.run.tags.get(BACKFILL_TAG, ""))
    keys = backfill.asset_selection if backfill else context.run.asset_selection
    if keys is None:
        keys = context.job_def.asset_layer.executable_asset_keys
    return {key.to_user_string() for key in keys}

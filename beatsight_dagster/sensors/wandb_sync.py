"""Runs that were kept offline are sent to Weights & Biases when it can be reached. Off until it is turned on."""

import dagster as dg

from beatsight_dagster.resources.settings import SettingsResource


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description='Sends offline W&B runs by `wandb sync`, where [tracking] says mode = "online" or sync = true.',
)
def wandb_sync(context: dg.SensorEvaluationContext, settings: SettingsResource) -> dg.SkipReason:
    """Send what is unsent; starts no runs, and says what came of it."""
    from beatsight_core.training.tracking.sync import sync_offline_runs, unsent, wanted

    current = settings.load()
    if not wanted(current):
        return dg.SkipReason('not asked for: [tracking] has neither mode = "online" nor sync = true')
    if not unsent(current):
        return dg.SkipReason("nothing waits to be sent")
    result = sync_offline_runs(current)
    for folder in result.synced:
        context.log.info(f"sent to W&B: {folder}")
    return dg.SkipReason(str(result))

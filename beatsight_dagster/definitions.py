"""Everything that Dagster loads. Assembles; no logic."""

import dagster as dg

from beatsight_dagster.assets import audio, dataset, evaluation, features, manifest, promotion, training
from beatsight_dagster.command_endings import end_plainly
from beatsight_dagster.executor.device_executor import device_executor
from beatsight_dagster.forget import forget_manifest
from beatsight_dagster.jobs import JOBS
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.sensors.alerts import alert_delivery, alerts_of_runs
from beatsight_dagster.sensors.datasets import dataset_indexes, feature_warming
from beatsight_dagster.sensors.manifests import manifest_inbox, prepare_data_continues
from beatsight_dagster.sensors.wandb_sync import wandb_sync

end_plainly()

ASSETS = [
    manifest.manifest,
    audio.audio_inventory,
    dataset.dataset,
    dataset.dataset_health,
    features.feature_cache,
    training.warmup_probe,
    training.baseline_model,
    training.long_run_model,
    evaluation.evaluation_report,
    promotion.promoted_model,
    promotion.run_archive,
]

defs = dg.Definitions(
    assets=ASSETS,
    jobs=[*JOBS, forget_manifest],
    sensors=[
        manifest_inbox,
        prepare_data_continues,
        dataset_indexes,
        feature_warming,
        wandb_sync,
        alerts_of_runs,
        alert_delivery,
    ],
    resources={"settings": SettingsResource()},
    executor=device_executor,
)

"""What costs days, or releases, waits until somebody asks for it by name; the rest of a launch is done."""

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from beatsight_core.settings import Settings
from beatsight_dagster.asked_for import JOBS
from beatsight_dagster.definitions import defs
from beatsight_dagster.partitions import register

KEY = "m-12345678"
WHOLE = [key.to_user_string() for key in defs.resolve_asset_graph().executable_asset_keys]
TRAINING = ["warmup_probe", "baseline_model", "long_run_model"]
RELEASE = ["evaluation_report", "promoted_model", "run_archive"]


def launch(
    settings: Settings, instance: dg.DagsterInstance, job: str, *assets: str, **tags: str
) -> dg.ExecuteInProcessResult:
    """Carry out assets of a job on a data root with nothing in it, where whatever begins to work fails at once."""
    register(instance, [KEY])
    found = defs.resolve_implicit_global_asset_job_def() if job == "assets" else defs.resolve_job_def(job)
    return found.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(asset) for asset in assets], partition_key=KEY, tags=tags,
        run_config={
            "resources": {"settings": {"config": {"data_root": str(settings.data_root)}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        raise_on_error=False,
    )  # fmt: skip


def refused(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> list[str]:
    """The assets that were not asked for, as the log says."""
    said = [entry.user_message for entry in instance.all_logs(result.run_id)]
    return [message.split()[0] for message in said if "was not asked for by name, so nothing was done" in message]


@pytest.mark.parametrize("asset", JOBS)
def test_what_others_are_selected_with_is_skipped_and_says_so(
    settings: Settings, instance: dg.DagsterInstance, asset: str
) -> None:
    result = launch(settings, instance, "assets", asset, "audio_inventory")
    assert refused(instance, result) == [asset]
    assert [event.step_key for event in result.all_events if event.is_step_failure] == ["audio_inventory"]
    assert not result.asset_materializations_for_node(asset)
    assert not [check for check in result.get_asset_check_evaluations() if check.asset_key == dg.AssetKey(asset)]


def test_groups_materialize_neither_models_of_days_nor_a_release(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    trained = launch(settings, instance, "assets", *TRAINING)
    assert refused(instance, trained) == ["baseline_model"]
    failed = [event.step_key for event in trained.all_events if event.is_step_failure]
    assert failed == ["warmup_probe"]  # which began, and without which the long run does not
    released = launch(settings, instance, "assets", *RELEASE[1:], "dataset_health")
    assert refused(instance, released) == ["promoted_model"]
    assert [event.step_key for event in released.all_events if event.is_step_skipped] == ["run_archive"]


@pytest.mark.parametrize("asset", JOBS)
def test_its_job_and_a_selection_of_it_alone_ask_for_it(
    settings: Settings, instance: dg.DagsterInstance, asset: str
) -> None:
    job, may_hold = JOBS[asset]
    for result in (
        launch(settings, instance, "assets", asset),
        launch(settings, instance, job, asset),
        launch(settings, instance, "assets", *may_hold),
    ):
        assert refused(instance, result) == []
        assert not result.success  # it began


def test_a_backfill_is_judged_by_what_was_selected_for_it(settings: Settings, instance: dg.DagsterInstance) -> None:
    for name, assets in (("all", WHOLE), ("one", ["long_run_model"])):
        instance.add_backfill(
            PartitionBackfill(
                name,
                BulkActionStatus.REQUESTED,
                from_failure=False,
                tags={},
                backfill_timestamp=0.0,
                asset_selection=[dg.AssetKey(asset) for asset in assets],
            )
        )
        result = launch(settings, instance, "assets", "long_run_model", **{"dagster/backfill": name})
        assert refused(instance, result) == (["long_run_model"] if name == "all" else [])

"""Numbers of a step that is under way, as the UI gets them."""

import dagster as dg
import pytest

from beatsight_core import progress
from beatsight_dagster import live
from beatsight_dagster.live import live_progress

PARTITIONS = dg.StaticPartitionsDefinition(["one", "two"])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(progress, "LOG_INTERVAL_S", 0.0)


@dg.asset(partitions_def=PARTITIONS)
def clips(context: dg.AssetExecutionContext) -> None:
    view = live_progress(context, "export")
    with view.task("hits", 10) as task:
        task.advance(10)
    with view.task("export", 30, "hits") as task:
        task.breakdown({"kits": {"clips": 3.0}})
        for _ in range(3):
            task.advance(10, MB=1.5)


def observed(every_s: float, monkeypatch: pytest.MonkeyPatch) -> list[dg.AssetObservation]:
    monkeypatch.setattr(live, "OBSERVED_EVERY_S", every_s)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([clips], partition_key="one", instance=instance)
        assert result.success
        events = [event for event in result.all_events if event.is_asset_observation]
        return [event.asset_observation_data.asset_observation for event in events]


def test_a_running_step_tells_its_numbers_for_its_partition(monkeypatch):
    seen = observed(0.0, monkeypatch)
    assert len(seen) == 3
    assert {observation.partition for observation in seen} == {"one"}
    first = {name: value.value for name, value in seen[0].metadata.items() if not name.startswith("dagster")}
    assert first == {"export/done": 10.0, "export/total": 30.0, "export/MB": 1.5, "export/kits/clips": 3.0}


def test_the_history_stays_short(monkeypatch):
    seen = observed(3600.0, monkeypatch)
    assert [observation.metadata["export/done"].value for observation in seen] == [10.0, 30.0]


@dg.asset(partitions_def=PARTITIONS)
def model(context: dg.AssetExecutionContext) -> None:
    with live_progress(context, "train warmup").task("train warmup", 40, "clips") as task:
        task.skip(10)
        for epoch in (2, 3):
            task.advance(5)
            task.advance(5)
            task.advance(0, epoch=epoch, loss=0.25, lr=0.000450123)
        task.advance(10, epoch=4)


def test_training_tells_every_epoch_and_small_numbers_stay_numbers(monkeypatch):
    monkeypatch.setattr(live, "OBSERVED_EVERY_S", 3600.0)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([model], partition_key="one", instance=instance)
        events = [event for event in result.all_events if event.is_asset_observation]
    seen = [event.asset_observation_data.asset_observation.metadata for event in events]
    assert [found["train/epoch"].value for found in seen if "train/epoch" in found] == [2, 3, 4]
    assert seen[1]["train/lr"].value == 0.000450123
    assert seen[0]["train/done"].value == 15

"""The sensor on the inbox, and the chain that follows prepare_data."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from beatsight_core.manifest.read_manifest import build_catalog, manifest_key
from beatsight_core.settings import Settings
from beatsight_dagster.definitions import defs
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.run_tags import CHAIN_TAG, DRIVE_TAG, RANGE_END_TAG, RANGE_START_TAG, UNTIL_TAG
from beatsight_dagster.sensors.manifests import manifest_inbox, prepare_data_continues

LINE = {
    "event_id": "e1",
    "session_id": "s1",
    "source_set": "set_a",
    "audio_path": "a.wav",
    "onset_time": 1.0,
    "components": [{"label": "kick"}],
}


class Inbox:
    """An inbox and the sensor's looks at it; the cursor goes from look to look, as in the daemon."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance):
        self.settings, self.instance, self.cursor = settings, instance, None
        settings.manifests_dir.mkdir()

    def write(self, name: str, *lines: dict[str, object], age_s: float = 60.0) -> Path:
        path = self.settings.manifests_dir / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return self.age(path, age_s)

    @staticmethod
    def age(path: Path, age_s: float) -> Path:
        changed = time.time() - age_s
        os.utime(path, (changed, changed))
        return path

    def look(self) -> dg.SensorResult:
        resource = SettingsResource(data_root=str(self.settings.data_root))
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=defs.get_repository_def(),
            resources={"settings": resource},
        ) as context:
            result = manifest_inbox(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return result

    def requested(self) -> list[str]:
        return [str(request.partition_key) for request in self.look().run_requests or []]


@pytest.fixture
def inbox(settings: Settings, instance: dg.DagsterInstance) -> Iterator[Inbox]:
    return Inbox(settings, instance)


def test_a_new_manifest_is_registered_and_prepared_once(inbox: Inbox) -> None:
    path = inbox.write("one.jsonl", LINE)
    assert inbox.requested() == []  # seen once; it may still grow
    result = inbox.look()
    (request,) = result.run_requests or []
    key = manifest_key(path)
    assert (request.partition_key, request.run_key) == (key, f"manifest:{key}")
    assert request.tags[CHAIN_TAG] == key
    (add,) = result.dynamic_partitions_requests or []
    assert list(add.partition_keys) == [key]
    assert inbox.requested() == []
    assert "nothing new in the inbox: 1 manifests, 0 being written" in str(inbox.look().skip_reason)


def test_a_file_still_being_written_is_left_alone(inbox: Inbox) -> None:
    path = inbox.write("one.jsonl", LINE, age_s=0.0)
    assert inbox.requested() == inbox.requested() == []
    assert "1 being written" in str(inbox.look().skip_reason)
    inbox.write("one.jsonl", LINE, {**LINE, "event_id": "e2"}, age_s=1.0)
    assert inbox.requested() == inbox.requested() == []
    inbox.age(path, 30.0)
    assert inbox.requested() == []
    assert inbox.requested() == [manifest_key(path)]


def test_touching_or_renaming_starts_nothing_and_new_content_does(inbox: Inbox) -> None:
    path = inbox.write("one.jsonl", LINE)
    inbox.look()
    first = inbox.requested()
    inbox.age(path, 30.0)
    assert inbox.requested() == inbox.requested() == inbox.requested() == []
    inbox.write("one.jsonl", LINE, {**LINE, "event_id": "e2"})
    inbox.look()
    second = inbox.requested()
    assert len(second) == 1
    assert second != first


def test_a_restart_asks_under_the_same_run_key(inbox: Inbox) -> None:
    inbox.write("one.jsonl", LINE)
    inbox.look()
    (first,) = inbox.look().run_requests or []
    inbox.cursor = None  # the daemon's state is gone; Dagster drops a run key that it has had before
    inbox.look()
    (again,) = inbox.look().run_requests or []
    assert again.run_key == first.run_key


def test_a_manifest_that_was_materialized_by_hand_is_not_prepared_again(inbox: Inbox) -> None:
    path = inbox.write("one.jsonl", LINE)
    inbox.instance.report_runless_asset_event(dg.AssetMaterialization("manifest", partition=manifest_key(path)))
    inbox.look()
    result = inbox.look()
    assert not result.run_requests
    assert result.dynamic_partitions_requests


def test_a_file_that_vanishes_is_forgotten(inbox: Inbox) -> None:
    path = inbox.write("one.jsonl", LINE)
    inbox.look()
    path.unlink()
    assert inbox.requested() == []
    assert json.loads(str(inbox.cursor)) == {}


def test_a_folder_named_like_a_manifest_hides_no_other(inbox: Inbox) -> None:
    (inbox.settings.manifests_dir / "a-folder.jsonl").mkdir()
    path = inbox.write("one.jsonl", LINE)
    inbox.look()
    assert inbox.requested() == [manifest_key(path)]
    assert list(json.loads(str(inbox.cursor))) == ["one.jsonl"]


def test_a_file_that_cannot_be_read_hides_no_other_and_is_picked_up_once_mended(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beatsight_dagster.sensors.manifests.SETTLE_S", 0.0)
    broken = inbox.settings.manifests_dir / "a-broken.jsonl"
    broken.symlink_to("/proc/self/mem")  # a file that opens, and cannot be read from its beginning
    path = inbox.write("one.jsonl", LINE)
    inbox.look()
    assert inbox.requested() == [manifest_key(path)]
    remembered = json.loads(str(inbox.cursor))["a-broken.jsonl"]
    assert remembered["pending"]
    assert remembered["key"] is None
    assert remembered["error"]
    broken.unlink()
    mended = inbox.write("a-broken.jsonl", {**LINE, "event_id": "e2"})
    inbox.look()
    assert inbox.requested() == [manifest_key(mended)]


def follow(corpus: Settings, instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> object:
    """What the chain does after a successful run."""
    run = instance.create_run_for_job(defs.resolve_job_def(job), tags=tags)
    event = dg.DagsterEvent("PIPELINE_SUCCESS", job_name=job)
    context = dg.build_run_status_sensor_context(
        sensor_name="prepare_data_continues",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=run,
        resources={"settings": SettingsResource(data_root=str(corpus.data_root))},
    )
    return prepare_data_continues(context)


def test_prepare_data_goes_on_with_all_source_sets_and_then_health(
    corpus: Settings, instance: dg.DagsterInstance
) -> None:
    catalog = build_catalog(corpus, "demo.jsonl")
    instance.add_dynamic_partitions("manifests", [catalog.key])
    request = follow(corpus, instance, "prepare_data", {"dagster/partition": catalog.key})
    assert isinstance(request, dg.RunRequest)
    assert request.job_name == "export_data"
    first, last = f"{catalog.key}|demo_multitrack", f"{catalog.key}|demo_takes"
    assert (request.tags[RANGE_START_TAG], request.tags[RANGE_END_TAG]) == (first, last)
    assert instance.get_dynamic_partitions("source_sets") == ["demo_multitrack", "demo_stems", "demo_takes"]

    health = follow(corpus, instance, "export_data", dict(request.tags))
    assert isinstance(health, dg.RunRequest)
    assert (health.job_name, health.partition_key) == ("judge_data", catalog.key)

    by_hand = follow(corpus, instance, "export_data", {"dagster/partition": f"{catalog.key}|demo_takes"})
    assert isinstance(by_hand, dg.SkipReason)

    judged = follow(corpus, instance, "judge_data", dict(health.tags))
    assert isinstance(judged, dg.SkipReason)
    assert "what comes next a person decides" in str(judged.skip_message)


def test_refresh_goes_on_to_the_probe_and_stops_there(corpus: Settings, instance: dg.DagsterInstance) -> None:
    catalog = build_catalog(corpus, "demo.jsonl")
    instance.add_dynamic_partitions("manifests", [catalog.key])
    assert defs.resolve_job_def("refresh").tags[UNTIL_TAG] == "probe"
    tags, followed = {"dagster/partition": catalog.key, UNTIL_TAG: "probe"}, ["refresh"]
    while isinstance(request := follow(corpus, instance, followed[-1], tags), dg.RunRequest):
        tags = dict(request.tags)
        assert tags[CHAIN_TAG] == catalog.key
        followed.append(str(request.job_name))
        if followed[-1] == "probe":
            break
    assert followed == ["refresh", "export_data", "judge_data", "probe"]
    assert "probe" not in {job.name for job in prepare_data_continues._monitored_jobs}


def test_what_a_terminal_carries_out_is_left_to_it(corpus: Settings, instance: dg.DagsterInstance) -> None:
    for job in ("prepare_data", "export_data", "judge_data"):
        said = follow(corpus, instance, job, {"dagster/partition": "m", CHAIN_TAG: "m", DRIVE_TAG: "1"})
        assert isinstance(said, dg.SkipReason)
        assert "was started from a terminal" in str(said.skip_message)


@pytest.mark.parametrize("until", ["health", "probe"])
def test_the_inbox_asks_as_far_as_the_settings_say(inbox: Inbox, until: str) -> None:
    (inbox.settings.data_root / "beatsight.toml").write_text(f'[automation]\nuntil = "{until}"\n')
    inbox.write("one.jsonl", LINE)
    inbox.look()
    (request,) = inbox.look().run_requests or []
    assert request.tags[UNTIL_TAG] == until

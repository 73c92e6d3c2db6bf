"""A drive that is not there, in the web UI: where it was looked and what to do, in a paragraph, before any trace."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import soundfile as sf

from beatsight_core.audio.absence import absent_and_back, describe_absence, found_unmounted, is_there
from beatsight_core.audio.inventory import open_inventory
from beatsight_core.errors import BeatSightError, InputError
from beatsight_core.manifest.read_manifest import manifest_key, open_catalog
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster import failures
from beatsight_dagster.definitions import defs
from beatsight_dagster.failures import plain_failures, why_run_failed
from beatsight_dagster.partitions import register

TOML = """[sources.kit]
roots = ["drive", "second drive"]
[gates]
max_missing_rate = 0.1
"""


class Place:
    """A manifest over four files of a drive, and runs over it in this process."""

    def __init__(self, root: Path, instance: dg.DagsterInstance):
        self.root, self.instance = root, instance
        (root / "manifests").mkdir(parents=True)
        (root / "beatsight.toml").write_text(TOML)
        (root / "drive").mkdir()
        events = []
        for number in range(4):
            name = f"take{number}.wav"
            sf.write(root / "drive" / name, np.linspace(-0.5, 0.5, 8000), 8000, subtype="PCM_16")
            event = {"event_id": name, "session_id": name, "source_set": "kit", "audio_path": name, "onset_time": 0.3}
            events.append({**event, "components": [{"label": "kick"}]})
        path = root / "manifests" / "m.jsonl"
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        self.key = manifest_key(path)
        register(instance, [self.key], ["kit"])

    @property
    def settings(self) -> Settings:
        return load_settings(self.root, environment={})

    def unmount(self) -> None:
        (self.root / "drive").rename(self.root / "away")

    def run(self, job: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        return defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=partition or self.key,
            run_config={
                "resources": {"settings": {"config": {"data_root": str(self.root)}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )


@pytest.fixture
def place(tmp_path: Path, instance: dg.DagsterInstance) -> Place:
    return Place(tmp_path / "data", instance)


def failed(result: dg.ExecuteInProcessResult) -> Any:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data


def test_the_check_and_the_failure_say_where_it_was_looked_and_what_to_do(place: Place) -> None:
    place.unmount()
    result = place.run("prepare_data")
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    for name in ("missing_rate", "roots_mounted"):
        said = str(checks[name].description)
        assert not checks[name].passed
        assert said.startswith("No root of kit is mounted. Looked in: kit: ")
        for folder in ("drive", "second drive"):
            assert f"{place.root}/{folder} (not mounted)" in said
        assert f"connect and mount the drive, or set roots under [sources.kit] in {place.root}/beatsight.toml" in said
    failure = failed(result)
    assert failure.user_failure_data.label == "intentional-failure"
    paragraph = failure.user_failure_data.description
    assert paragraph.startswith(
        "No root of kit is mounted. 4 of 4 events are without usable audio, among them kit/take"
    )
    assert "\n" not in paragraph
    assert {"roots", "by source set"} <= set(failure.user_failure_data.metadata)
    assert failure.error.cause is None
    assert "No root of kit is mounted" in why_run_failed(place.instance, result.run_id)
    made = place.instance.fetch_materializations(dg.AssetKey("audio_inventory"), limit=1).records
    assert len(made) == 1  # its table is there to be looked at


def test_in_a_process_of_a_step_there_is_no_trace_at_all(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_is_step_process", lambda: True)
    monkeypatch.setattr(sys, "tracebacklimit", 1000, raising=False)
    place.unmount()
    assert failed(place.run("prepare_data")).error.stack == []


def test_some_missing_files_are_named_with_their_roots(place: Place) -> None:
    (place.root / "drive" / "take2.wav").unlink()
    said = failed(place.run("prepare_data")).user_failure_data.description
    assert said.startswith(
        "1 of 4 events are without usable audio, among them kit/take2.wav (missing). Looked in: kit: "
    )
    assert f"{place.root}/drive, {place.root}/second drive (not mounted)" in said
    assert "put the files there" in said
    assert absent_and_back(place.settings, place.key) is None
    assert found_unmounted(place.settings, place.key) == {f"{place.root}/second drive"}
    (place.root / "second drive").mkdir()
    shutil.copy(place.root / "drive" / "take1.wav", place.root / "second drive" / "take2.wav")
    assert absent_and_back(place.settings, place.key)


def test_a_drive_that_goes_between_inventory_and_export_is_told_as_plainly(place: Place) -> None:
    assert place.run("prepare_data").success
    place.unmount()
    failure = failed(place.run("export_data", f"{place.key}|kit"))
    assert failure.user_failure_data.description.startswith("No root of kit is there. Where: kit: ")
    assert f"{place.root}/drive" in failure.user_failure_data.metadata["where"].value
    assert "mount the drive" in failure.user_failure_data.metadata["what to do"].value


def test_a_manifest_that_went_is_told_as_plainly(place: Place) -> None:
    (place.root / "manifests" / "m.jsonl").unlink()
    said = failed(place.run("prepare_data")).user_failure_data.description
    assert said.startswith(f"There is no manifest '{place.key}'.")


def test_what_is_all_there_is_told_in_a_word(place: Place) -> None:
    result = place.run("prepare_data")
    assert result.success
    (found,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "roots_mounted"]
    assert found.description == "each source set has a mounted root"
    inventory = open_inventory(place.settings, open_catalog(place.settings, place.key)).figures()
    assert describe_absence(inventory, place.settings) is None


def test_every_error_becomes_a_paragraph_and_a_trace_is_kept_of_those_that_nobody_foresaw() -> None:
    @plain_failures
    def asset(kind: type[Exception]) -> None:
        """A text."""
        raise kind("a reason")

    assert asset.__doc__ == "A text."
    for kind in (BeatSightError, InputError):
        with pytest.raises(dg.Failure, match=r"a reason\.") as foreseen:
            asset(kind)
        assert "trace" not in foreseen.value.metadata
    with pytest.raises(dg.Failure, match=r"The platform has a fault: KeyError") as unforeseen:
        asset(KeyError)
    assert "KeyError" in str(unforeseen.value.metadata["trace"].value)


def test_a_root_is_there_if_something_is_in_it(tmp_path: Path) -> None:
    assert not is_there(tmp_path / "nowhere")
    assert not is_there(tmp_path)
    (tmp_path / "file").touch()
    assert is_there(tmp_path)
    assert not is_there(tmp_path / "file")

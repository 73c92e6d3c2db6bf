"""When a manifest of the inbox is asked for: once for each state, whatever fails, comes back or restarts."""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from beatsight_core.manifest.identity import manifest_key
from beatsight_core.manifest.inbox.wishes import wish_forgotten, wish_retry
from beatsight_core.manifest.read_manifest import build_catalog
from beatsight_core.settings import Settings, load_settings
from beatsight_dagster.definitions import defs
from beatsight_dagster.resources.settings import SettingsResource
from beatsight_dagster.run_tags import CHAIN_TAG, DRIVE_TAG, STATE_TAG, UNTIL_TAG
from beatsight_dagster.sensors import preparation, preparation_state
from beatsight_dagster.sensors.manifests import manifest_inbox, prepare_data_continues

FAILED, SUCCEEDED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
SENSOR = {"dagster/sensor_name": "manifest_inbox"}


class Daemon:
    """The sensor as the daemon looks through it: cursors and runs are kept, and a run key is had once."""

    def __init__(self, root: Path, instance: dg.DagsterInstance):
        self.root, self.instance, self.cursor = root, instance, None
        self.outcome: dg.DagsterRunStatus | None = FAILED
        """What becomes of a run at once; None: it is carried out."""
        self.said = ""
        (root / "raw" / "kit").mkdir(parents=True)
        (root / "manifests").mkdir()
        self.settle("")

    @property
    def settings(self) -> Settings:
        return load_settings(self.root, environment={})

    def settle(self, more: str) -> None:
        """Write the settings: a source set with a drive of its own."""
        (self.root / "beatsight.toml").write_text(f'[sources.kit]\nroots = ["drive"]\n{more}')

    def write(self, name: str = "m.jsonl", files: tuple[str, ...] = ("a.wav",), age_s: float = 60.0) -> Path:
        path = self.root / "manifests" / name
        lines = [
            {
                "event_id": f"{file}-{number}", "session_id": f"s-{file}", "source_set": "kit", "audio_path": file,
                "onset_time": onset, "components": [{"label": "kick"}],
            }
            for file in files
            for number, onset in enumerate((0.1, 0.4))
        ]  # fmt: skip
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        changed = time.time() - age_s
        os.utime(path, (changed, changed))
        return path

    def mount(self, *files: str) -> None:
        """Connect the drive with some files on it."""
        (self.root / "drive").mkdir(exist_ok=True)
        (self.root / "drive" / "readme.txt").touch()
        for file in files:
            sf.write(self.root / "drive" / file, np.linspace(-0.5, 0.5, 8000), 8000, subtype="PCM_16")

    def unmount(self) -> None:
        shutil.rmtree(self.root / "drive")

    def evaluate(self) -> dg.SensorResult:
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=defs.get_repository_def(),
            resources={"settings": SettingsResource(data_root=str(self.root))},
        ) as context:
            result = manifest_inbox(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def look(self, times: int = 1, *, killed: bool = False) -> list[str]:
        """Look some times; the states that runs were started for. Killed: before the cursor was written."""
        states = []
        for _ in range(times):
            result = self.evaluate()
            for request in result.dynamic_partitions_requests or []:
                self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
            for request in result.run_requests or []:
                states += self._start(request)
            self.said = str(result.skip_reason)
            self.cursor = self.cursor if killed else result.cursor
        return states

    def _start(self, request: dg.RunRequest) -> list[str]:
        tags = {**request.tags, **SENSOR, "dagster/run_key": str(request.run_key)}
        spent = {"dagster/run_key": str(request.run_key)}
        if self.instance.get_runs(filters=dg.RunsFilter(tags=spent)):
            return []
        job = defs.resolve_job_def("prepare_data")
        if self.outcome is None:
            means = {
                "resources": {"settings": {"config": {"data_root": str(self.root)}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            }
            job.execute_in_process(
                instance=self.instance, partition_key=request.partition_key, tags=tags, run_config=means,
                raise_on_error=False,
            )  # fmt: skip
        else:
            partition = {"dagster/partition": str(request.partition_key)}
            self.instance.create_run_for_job(job, status=self.outcome, tags={**tags, **partition})
        return [request.tags[STATE_TAG]]

    def end_chain(
        self, partition: str, state: str, job: str = "judge_data", status: Any = SUCCEEDED, until: str = "health"
    ) -> None:
        """What follows a successful run of prepare_data."""
        tags = {CHAIN_TAG: partition, STATE_TAG: state, UNTIL_TAG: until, "dagster/partition": partition}
        self.instance.create_run_for_job(defs.resolve_job_def(job), status=status, tags=tags)

    def entry(self, name: str = "m.jsonl") -> dict[str, Any]:
        return json.loads(str(self.cursor))[name]


@pytest.fixture
def daemon(tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Daemon]:
    return Daemon(tmp_path / "data", instance)


def test_a_failure_that_stays_starts_one_run_in_thirty_looks(daemon: Daemon) -> None:
    path = daemon.write()
    assert len(daemon.look(30)) == 1
    key = manifest_key(path)
    assert f"{key} is not prepared; it is asked for again when one of {daemon.root}/drive is there" in daemon.said
    assert f"`beatsight manifest retry {key}`" in daemon.said


def test_a_drive_that_was_away_and_is_back_has_the_manifest_prepared(daemon: Daemon) -> None:
    daemon.write()
    daemon.outcome = None
    (first,) = daemon.look(5)
    assert "No root of kit is mounted" in daemon.entry()["failed"][1]
    daemon.mount("a.wav")
    (second,) = daemon.look(5)
    assert first != second
    (run,) = daemon.instance.get_runs(filters=dg.RunsFilter(tags={STATE_TAG: second}))
    assert run.is_success


def test_a_later_step_that_fails_after_the_drive_came_back_starts_nothing_by_itself(daemon: Daemon) -> None:
    key = manifest_key(daemon.write())
    daemon.outcome = None
    daemon.look(4)
    daemon.mount("a.wav")
    (state,) = daemon.look(4)
    assert state.count(".") == 4  # the missing files are there, and after this run none is missing
    for job, status in (("export_data", SUCCEEDED), ("judge_data", FAILED)):
        daemon.end_chain(key, state, job, status)
        assert daemon.look(4) == []
    daemon.unmount()
    assert daemon.look(4) == []
    daemon.mount("a.wav")
    assert len(daemon.look(4)) == 1


def test_what_goes_on_to_a_probe_is_done_with_the_probe(daemon: Daemon) -> None:
    daemon.settle('[automation]\nuntil = "probe"\n')
    key = manifest_key(daemon.write())
    daemon.outcome = SUCCEEDED
    (state,) = daemon.look(4)
    daemon.end_chain(key, state, until="probe")
    assert daemon.look(2) == []
    assert "is being prepared" in daemon.said
    daemon.end_chain(key, state, "probe", until="probe")
    daemon.look(2)
    assert daemon.entry()["done"]


def test_a_gate_that_failed_is_told_in_the_tick_and_no_probe_follows(daemon: Daemon) -> None:
    daemon.settle('[automation]\nuntil = "probe"\n')
    key = manifest_key(daemon.write())
    daemon.outcome = SUCCEEDED
    (state,) = daemon.look(4)
    tags = {CHAIN_TAG: key, STATE_TAG: state, UNTIL_TAG: "probe"}
    failed = defs.resolve_job_def("judge_data").execute_in_process(  # there is no dataset
        instance=daemon.instance, partition_key=key, tags=tags, raise_on_error=False,
        run_config={
            "resources": {"settings": {"config": {"data_root": str(daemon.root)}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
    )  # fmt: skip
    assert not failed.success
    assert daemon.look(4) == []
    assert f"{key} is not prepared" in daemon.said
    assert f"Run {failed.run_id[:8]} said:" in daemon.said
    assert prepare_data_continues._run_status == SUCCEEDED  # a run that failed is never followed


def test_a_run_of_a_terminal_is_no_preparation_that_waits(daemon: Daemon) -> None:
    key = manifest_key(daemon.write())
    for job, status in (("prepare_data", SUCCEEDED), ("judge_data", FAILED)):
        tags = {"dagster/partition": key, DRIVE_TAG: "1"}
        daemon.instance.create_run_for_job(defs.resolve_job_def(job), status=status, tags=tags)
    daemon.instance.report_runless_asset_event(dg.AssetMaterialization("manifest", partition=key))
    assert daemon.look(4) == []
    assert daemon.entry()["done"]


def test_each_return_of_a_drive_is_one_run_and_its_going_none(daemon: Daemon) -> None:
    daemon.write()
    daemon.look(3)
    for _ in range(3):
        daemon.mount()
        assert len(daemon.look(4)) == 1
        daemon.unmount()
        assert daemon.look(4) == []


def test_a_place_to_mount_that_is_empty_is_no_drive(daemon: Daemon) -> None:
    daemon.write()
    (daemon.root / "drive").mkdir()
    daemon.look(3)
    assert daemon.look(3) == []
    (daemon.root / "drive" / "a.wav").touch()
    assert len(daemon.look(3)) == 1


def test_a_drive_that_does_not_answer_neither_goes_nor_comes(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.write()
    daemon.mount()
    daemon.look(3)
    answered = threading.Event()
    monkeypatch.setattr(preparation, "_LOOK_AT_ROOT_S", 0.01)
    monkeypatch.setattr("beatsight_core.audio.absence.is_there", lambda root: answered.wait(30.0))
    assert daemon.look(5) == []
    (piece,) = preparation._ROOTS._pieces.values()
    answered.set()
    assert piece.done.wait(30.0)
    assert daemon.look(3) == []


def test_a_drive_that_comes_back_while_the_doomed_run_goes_on_is_not_missed(daemon: Daemon) -> None:
    daemon.write()
    daemon.outcome = dg.DagsterRunStatus.STARTED
    daemon.look(3)
    assert "is being prepared" in daemon.said
    daemon.mount()
    assert daemon.look(3) == []
    (run,) = daemon.instance.get_runs()
    daemon.instance.report_run_failed(run)
    assert len(daemon.look(3)) == 1


def test_settings_that_bear_on_it_are_a_reason_and_others_are_not(daemon: Daemon) -> None:
    daemon.write()
    first = daemon.look(3)
    daemon.settle("[training.baseline]\nbatch = 32\n[tracking]\nproject = 'other'\n[dataset]\nworkers = 1\n")
    assert daemon.look(3) == []
    daemon.settle("[gates]\nmax_missing_rate = 0.5\n")
    second = daemon.look(3)
    assert len(second) == 1
    daemon.settle("")
    assert daemon.look(3) == []  # that state was tried
    assert first != second


def test_a_retry_is_one_run_also_for_what_is_prepared(daemon: Daemon) -> None:
    key = manifest_key(daemon.write())
    daemon.look(3)
    wish_retry(daemon.settings, key)
    (again,) = daemon.look(3)
    daemon.end_chain(key, again)
    assert daemon.look(3) == []
    assert "0 being written" in daemon.said
    assert "not prepared" not in daemon.said
    wish_retry(daemon.settings, key)
    assert len(daemon.look(5)) == 1


def test_a_file_that_is_put_back_or_touched_is_a_reason_if_its_run_failed(daemon: Daemon, tmp_path: Path) -> None:
    path = daemon.write()
    daemon.look(3)
    path.rename(tmp_path / "aside")
    daemon.look(2)
    (tmp_path / "aside").rename(path)
    assert len(daemon.look(4)) == 1
    daemon.write(age_s=30.0)
    assert len(daemon.look(4)) == 1


def test_what_is_prepared_stays_so_whatever_changes(daemon: Daemon) -> None:
    key = manifest_key(daemon.write())
    (state,) = daemon.look(3)
    daemon.end_chain(key, state)
    daemon.look()
    daemon.mount()
    daemon.settle("[gates]\nmax_missing_rate = 0.5\n")
    daemon.write(age_s=30.0)
    assert daemon.look(5) == []
    daemon.unmount()
    daemon.cursor = None
    assert daemon.look(5) == []


def test_missing_files_that_are_copied_in_are_a_reason_once_all_are_there(daemon: Daemon) -> None:
    daemon.write(files=("a.wav", "b.wav", "c.wav"))
    daemon.outcome = None
    daemon.mount("a.wav")
    assert len(daemon.look(4)) == 1
    daemon.mount("b.wav")
    assert daemon.look(3) == []
    daemon.mount("c.wav")
    (state,) = daemon.look(3)
    (run,) = daemon.instance.get_runs(filters=dg.RunsFilter(tags={STATE_TAG: state}))
    assert run.is_success


def test_a_lost_cursor_or_a_restart_asks_for_nothing_twice(daemon: Daemon) -> None:
    daemon.write()
    daemon.mount()
    daemon.unmount()
    first = daemon.look(3)
    for lost in (None, "{}", None):
        daemon.cursor = lost
        states = daemon.look(5)
        assert len(states) == (1 if lost else 0)  # with an empty cursor the file has just come
    daemon.mount()
    assert len(daemon.look(5)) == 1
    daemon.cursor = None
    assert daemon.look(5) == []
    assert len(first) == 1


@pytest.mark.parametrize("reason", ["first", "drive", "retry", "settings"])
def test_a_daemon_that_dies_before_it_remembers_asks_for_nothing_twice(daemon: Daemon, reason: str) -> None:
    key = manifest_key(daemon.write())
    daemon.look(1 if reason == "first" else 3)
    if reason == "drive":
        daemon.mount()
    if reason == "retry":
        wish_retry(daemon.settings, key)
    if reason == "settings":
        daemon.settle("[gates]\nmax_missing_rate = 0.5\n")
    assert len(daemon.look(killed=True)) == 1
    assert daemon.look(5) == []


def test_a_chain_that_failed_later_on_is_taken_up_from_its_beginning(daemon: Daemon) -> None:
    key = manifest_key(daemon.write())
    daemon.outcome = SUCCEEDED
    (state,) = daemon.look(3)
    daemon.end_chain(key, state, "export_data", FAILED)
    assert daemon.look(4) == []
    daemon.mount()
    assert len(daemon.look(4)) == 1


def test_a_chain_that_stopped_between_two_steps_says_so_and_can_be_retried(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = manifest_key(daemon.write())
    daemon.outcome = SUCCEEDED
    daemon.look(3)
    assert "is being prepared" in daemon.said
    monkeypatch.setattr(preparation_state, "FOLLOWED_S", -1.0)
    assert daemon.look(3) == []
    assert "prepare_data is done and nothing followed it: see the sensor prepare_data_continues" in daemon.said
    wish_retry(daemon.settings, key)
    assert len(daemon.look(3)) == 1


def test_a_run_that_somebody_launched_by_hand_counts(daemon: Daemon) -> None:
    key = manifest_key(daemon.write())
    daemon.look(3)
    job, partition = defs.resolve_job_def("prepare_data"), {"dagster/partition": key}
    by_hand = daemon.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=partition)
    daemon.look()
    assert "is being prepared" in daemon.said
    daemon.mount()
    assert daemon.look(2) == []
    daemon.instance.report_run_failed(by_hand)
    assert len(daemon.look(2)) == 1


def test_the_next_steps_carry_the_state_on(daemon: Daemon) -> None:
    daemon.write()
    daemon.mount("a.wav")
    daemon.outcome = None
    (state,) = daemon.look(3)
    (run,) = daemon.instance.get_runs(filters=dg.RunsFilter(tags={STATE_TAG: state}))
    assert run.is_success
    context = dg.build_run_status_sensor_context(
        sensor_name="prepare_data_continues",
        dagster_event=dg.DagsterEvent("PIPELINE_SUCCESS", job_name="prepare_data"),
        dagster_instance=daemon.instance,
        dagster_run=run,
        resources={"settings": SettingsResource(data_root=str(daemon.root))},
    )
    request = prepare_data_continues(context)
    assert isinstance(request, dg.RunRequest)
    assert request.tags[STATE_TAG] == state


@pytest.mark.parametrize("status", [SUCCEEDED, FAILED])
@pytest.mark.parametrize("seen", [True, False])
def test_a_forgotten_manifest_is_taken_up_when_it_changes_or_by_a_retry(
    daemon: Daemon, status: dg.DagsterRunStatus, seen: bool
) -> None:
    path = daemon.write()
    key = manifest_key(path)
    (state,) = daemon.look(3)
    daemon.end_chain(key, state, status=status)
    daemon.look()
    daemon.instance.report_runless_asset_event(dg.AssetMaterialization("manifest", partition=key))
    for number, wanted in enumerate(("touch", "retry")):
        daemon.instance.delete_dynamic_partition("manifests", key)
        wish_forgotten(daemon.settings, key, path)
        if seen:
            assert daemon.look(4) == []
            assert f"{key} was forgotten" in daemon.said
            daemon.cursor = None if number else daemon.cursor
            assert daemon.look(4) == []
            assert key not in daemon.instance.get_dynamic_partitions("manifests")
        daemon.write(age_s=30.0) if wanted == "touch" else wish_retry(daemon.settings, key)
        assert len(daemon.look(5)) == 1
        assert key in daemon.instance.get_dynamic_partitions("manifests")
        assert "was forgotten" not in daemon.said


@pytest.mark.parametrize(
    "inventory", ["{", "[]", '{"lost_files": [{"status": "missing"}]}', '{"roots": [3]}', '{"roots": 3}']
)
def test_what_is_damaged_of_one_manifest_holds_up_no_other(daemon: Daemon, inventory: str) -> None:
    path = daemon.write()
    build_catalog(daemon.settings, path)
    (daemon.settings.catalog_folder(manifest_key(path)) / "inventory.json").write_text(inventory)
    daemon.look(3)
    daemon.write("second.jsonl")
    assert len(daemon.look(3)) == 1
    assert manifest_key(path) in daemon.said


def test_who_waited_longest_is_judged_first_when_time_is_short(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        daemon.write(f"m{number}.jsonl", (f"{number}.wav",))
    monkeypatch.setattr(preparation, "BUDGET_S", -1.0)  # one is judged at each look
    assert daemon.look() == []
    for _ in range(4):
        assert len(daemon.look()) == 1
    daemon.mount()
    assert len(daemon.look(8)) == 4


def test_a_damaged_wish_is_none(daemon: Daemon) -> None:
    key = manifest_key(daemon.write())
    folder = daemon.settings.catalog_dir / ".wishes"
    folder.mkdir(parents=True)
    (folder / f"{key}.json").write_text("{")
    (folder / "other.json").write_text('{"key": 3}')
    assert len(daemon.look(5)) == 1


class Days:
    """What may happen to a daemon: each public name but `end` is a deed."""

    def __init__(self, daemon: Daemon, aside: Path):
        self._daemon, self._aside, self._path = daemon, aside, daemon.write()
        self._key, self._number = manifest_key(self._path), 0

    def mount(self) -> None:
        self._daemon.mount("a.wav")

    def unmount(self) -> None:
        shutil.rmtree(self._daemon.root / "drive", ignore_errors=True)

    def settings(self) -> None:
        self._number += 1
        self._daemon.settle(f"[gates]\nmax_missing_rate = 0.{self._number:02d}\n")

    def settings_back(self) -> None:
        self._daemon.settle("")

    def retry(self) -> None:
        wish_retry(self._daemon.settings, self._key)

    def touch(self) -> None:
        self._number += 1
        if self._path.exists():
            os.utime(self._path, (1000.0 + self._number, 1000.0 + self._number))

    def away(self) -> None:
        if self._path.exists():
            self._path.rename(self._aside)

    def back(self) -> None:
        if self._aside.exists():
            self._aside.rename(self._path)

    def lose_cursor(self) -> None:
        self._daemon.cursor = None

    def let_run(self) -> None:
        self._daemon.outcome = None if self._daemon.outcome else FAILED

    def judged_unhealthy(self) -> None:
        newest = self._daemon.instance.get_runs(limit=1)[0]
        if newest.is_success:
            self._daemon.end_chain(self._key, newest.tags[STATE_TAG], status=FAILED)

    def killed(self) -> None:
        """Looks that the daemon does not remember."""

    def end(self) -> dg.DagsterRun:
        """Everything is put right; the newest run then."""
        self.back()
        self.judged_unhealthy()
        self._daemon.outcome = None
        self.unmount()
        self._daemon.look(4)
        self.mount()
        self._daemon.look(4)
        return self._daemon.instance.get_runs(limit=1)[0]


DEEDS = sorted(name for name in vars(Days) if not name.startswith("_") and name != "end")


@examples(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(DEEDS), max_size=8))
def test_whatever_happens_no_state_has_two_runs_and_the_end_is_a_prepared_manifest(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[str]
) -> None:
    root = tmp_path_factory.mktemp("days")
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(root / "data", instance)
        days = Days(daemon, root / "aside")
        states = daemon.look(3)
        for deed in deeds:
            getattr(days, deed)()
            states += daemon.look(3, killed=deed == "killed")
            assert deed == "killed" or daemon.look() == []  # nothing happened since
        assert len(states) == len(set(states))
        newest = days.end()
        assert newest.is_success
        assert newest.job_name == "prepare_data"

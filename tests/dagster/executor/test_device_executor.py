"""The device executor with real processes and devices that exist in name only."""

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import psutil
import pytest
import yaml

from beatsight_core.compute.devices import discover_devices
from beatsight_core.compute.leases import device_states, try_lease
from beatsight_core.compute.overview import Overview, overview
from beatsight_dagster.executor import device_pool
from beatsight_dagster.executor.device_pool import DevicePool
from tests.core.compute.fake_driver import FakeGpu, install, install_torch, no_driver

JOBS_FILE = Path(__file__).parent / "executor_jobs.py"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="module")
def jobs() -> Iterator[ModuleType]:
    """The jobs as an importable module, as `reconstructable` needs it."""
    spec = importlib.util.spec_from_file_location("executor_jobs", JOBS_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["executor_jobs"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["executor_jobs"]


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where steps leave their records; two devices, leases of this test's own."""
    folder = tmp_path / "records"
    folder.mkdir()
    monkeypatch.setenv("STEP_RECORDS", str(folder))
    monkeypatch.setenv("BEATSIGHT_LEASE_DIR", str(tmp_path / "leases"))
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0,1")
    monkeypatch.setenv("PYTHONPATH", f"{JOBS_FILE.parents[3]}:{JOBS_FILE.parent}")
    return folder


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    home = tmp_path_factory.mktemp("home")
    home.joinpath("dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(home)) as opened:
        opened.get_runs(limit=1)
        yield opened


def told(records: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in records.glob("*-*.json")]
    return {f"{entry['run']}/{entry['step']}": entry for entry in found}


def by_step(records: Path) -> dict[str, dict[str, Any]]:
    return {entry["step"]: entry for entry in told(records).values()}


START_S = 120.0
"""For processes to start, on a machine that is busy with other work."""


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["began"] < other["ended"] and other["began"] < one["ended"])


def execute(job: Callable[[], dg.JobDefinition], instance: dg.DagsterInstance, **config: Any) -> dg.JobExecutionResult:
    settings = {"execution": {"config": config}, **QUIET}
    return dg.execute_job(dg.reconstructable(job), instance=instance, run_config=settings, raise_on_error=False)


def failures(result: dg.JobExecutionResult) -> dict[str, str]:
    return {e.step_key: e.step_failure_data.error.message for e in result.all_events if e.is_step_failure}


def test_steps_run_on_what_they_asked_for(jobs: ModuleType, instance: dg.DagsterInstance, records: Path) -> None:
    # Another program of this machine holds both devices at first, until plain steps have overtaken.
    held = try_lease(2, discover_devices(), {"run": "another", "step": "train"})
    assert held is not None
    until_plain_steps_ran = threading.Thread(
        target=lambda: (wait_for(lambda: len(told(records)) == 2, "plain steps", START_S), held.close())
    )
    until_plain_steps_ran.start()
    with execute(jobs.mixed, instance, max_cpu_steps=1) as result:
        failed = failures(result)
        retried = [event.step_key for event in result.all_events if event.is_step_up_for_retry]
        messages = [event.message or "" for event in result.all_events]
    until_plain_steps_ran.join()
    waits = [message for message in messages if "Waits for 1 device(s)" in message]
    assert "held by run another step train since" in waits[0]
    assert "1 asked before: run" in waits[1]
    # A request that can never be met fails its step and nothing else.
    assert list(failed) == ["too_wide"]
    assert "wants 3 devices and this machine has 2" in failed["too_wide"]
    steps = by_step(records)
    assert set(steps) == {"one", "plain_1", "plain_2", "dies_once"}
    assert steps["one"]["devices"] in ("0", "1")
    assert steps["one"]["order"] == "PCI_BUS_ID"
    assert steps["plain_1"]["devices"] == steps["plain_2"]["devices"] == ""
    assert not overlap(steps["plain_1"], steps["plain_2"])
    assert all(entry["leads_session"] for entry in steps.values())
    # Killed by SIGKILL, retried, leased again.
    assert retried == ["dies_once"]
    assert all(state.state == "free" for state in device_states(discover_devices()))


def test_two_runs_share_two_devices_without_overlap(
    jobs: ModuleType, instance: dg.DagsterInstance, records: Path
) -> None:
    environment = {**os.environ, "DAGSTER_HOME": instance.root_directory}
    command = [sys.executable, str(JOBS_FILE), "crowd"]
    runs = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    steps = list(told(records).values())
    assert len(steps) == 12
    for one, other in combinations(steps, 2):
        shared = (set(one["devices"].split(",")) & set(other["devices"].split(","))) - {""}
        assert not (shared and overlap(one, other)), (one, other)
    assert {entry["devices"] for entry in steps if entry["step"].startswith("both")} == {"0,1"}
    assert {entry["devices"] for entry in steps if entry["step"] == "plain"} == {""}


def test_a_wide_step_is_not_starved_by_narrow_ones(
    jobs: ModuleType, instance: dg.DagsterInstance, records: Path
) -> None:
    held = try_lease(1, discover_devices(), {"verb": "train", "manifest": "another"})
    assert held is not None
    seen: list[Overview] = []

    def release_when_all_wait() -> None:
        seen.append(wait_for(lambda: len((now := overview()).waiting) == 3 and now, "three steps to wait", START_S))
        held.close()

    watcher = threading.Thread(target=release_when_all_wait)
    watcher.start()
    with execute(jobs.unfair, instance) as result:
        assert result.success
    watcher.join()
    steps = by_step(records)
    assert all(steps["wide"]["ended"] <= steps[f"narrow_{number}"]["began"] for number in range(2))
    # One device was free all the while, and saved up: everybody could see for whom.
    (look,) = seen
    assert sorted(entry.state for entry in look.devices) == ["free", "leased"]
    assert look.waiting[0].who["step"] == "wide"
    assert look.waiting[0].behind == ("device 0: verb train manifest another",)
    assert any("step wide" in story for story in look.waiting[1].behind)


@pytest.mark.parametrize(("end", "status"), [("terminate", "CANCELED"), ("kill", "STARTED")])
def test_a_run_that_ends_takes_its_steps_with_it(
    end: str, status: str, jobs: ModuleType, instance: dg.DagsterInstance, records: Path
) -> None:
    environment = {**os.environ, "DAGSTER_HOME": instance.root_directory}
    run = subprocess.Popen([sys.executable, str(JOBS_FILE), "lingering"], env=environment, stderr=subprocess.DEVNULL)
    wait_for((records / "lingers.json").exists, "the step to start", START_S)
    pids = json.loads((records / "lingers.json").read_text())
    assert [state.state for state in device_states(discover_devices())].count("leased") == 1
    if end == "terminate":  # as the UI does it
        instance.report_run_canceling(instance.get_runs(limit=1)[0])
    run.send_signal(signal.SIGTERM if end == "terminate" else signal.SIGKILL)
    run.wait(timeout=30)
    for pid in (pids["pid"], pids["worker"]):
        wait_for(lambda pid=pid: not psutil.pid_exists(pid) or _is_zombie(pid), f"process {pid} to end")
    wait_for(lambda: all(s.state == "free" for s in device_states(discover_devices())), "the device to come free")
    assert instance.get_runs()[0].status.value == status
    assert not told(records)


@pytest.mark.long
def test_the_end_of_dagster_dev_ends_its_runs_and_frees_their_devices(
    instance: dg.DagsterInstance, records: Path
) -> None:
    environment = {**os.environ, "DAGSTER_HOME": instance.root_directory}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    dagster = [sys.executable, "-m", "dagster"]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    serve = [*dagster, "dev", "-f", str(JOBS_FILE), "-h", "127.0.0.1", "-p", str(port)]
    dev = subprocess.Popen(serve, start_new_session=True, **quiet)
    try:
        launch = [*dagster, "job", "launch", "-f", str(JOBS_FILE), "-j", "lingering"]
        assert subprocess.run(launch, check=False, timeout=START_S, **quiet).returncode == 0
        wait_for((records / "lingers.json").exists, "the daemon to start the run", START_S)
        pids = json.loads((records / "lingers.json").read_text())
        (holder,) = [entry for entry in overview().devices if entry.state == "leased"]
        assert [process.pid for process in holder.processes] == [pids["pid"]]
    finally:
        os.killpg(dev.pid, signal.SIGKILL)
        dev.wait()
    for pid in (pids["pid"], pids["worker"]):
        wait_for(lambda pid=pid: not psutil.pid_exists(pid) or _is_zombie(pid), f"process {pid} to end")
    wait_for(lambda: all(s.state == "free" for s in device_states(discover_devices())), "the device to come free")


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_launchpad_may_give_a_step_more_devices_than_its_tag(
    jobs: ModuleType, instance: dg.DagsterInstance, records: Path
) -> None:
    with execute(jobs.single, instance, devices={"one": 2}) as result:
        assert result.success
    assert by_step(records)["one"]["devices"] == "0,1"


@pytest.mark.parametrize("no_device", ["cpu", "fail"])
def test_a_machine_without_devices(
    no_device: str, jobs: ModuleType, instance: dg.DagsterInstance, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEATSIGHT_DEVICES", "")
    with execute(jobs.single, instance, no_device=no_device) as result:
        assert result.success == (no_device == "cpu")
        failed = failures(result)
        messages = [event.message or "" for event in result.all_events]
    if no_device == "fail":
        assert "this machine has none" in failed["one"]
        assert not told(records)
    else:
        assert {entry["devices"] for entry in told(records).values()} == {""}
        assert any("this machine has none: it runs on the CPU" in message for message in messages)


def test_an_instance_that_only_a_variable_names_is_given_to_the_step(
    jobs: ModuleType, instance: dg.DagsterInstance, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BEATSIGHT_DEVICES")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-c0ffee")
    no_driver(monkeypatch)
    with execute(jobs.single, instance) as result:
        assert result.success
        messages = [event.message or "" for event in result.all_events]
    assert by_step(records)["one"]["devices"] == "MIG-c0ffee"
    assert any("on devices: MIG-c0ffee (" in message for message in messages)
    assert not list((records.parent / "leases").glob("*.ticket"))


def test_a_pool_gives_a_step_the_device_that_only_torch_sees(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEATSIGHT_DEVICES")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    no_driver(monkeypatch)
    install_torch(monkeypatch, "GPU-c0ffee")
    pool = DevicePool("cpu", 0.5)
    assert pool.count_for(1) == 1
    lease = pool.try_lease(1, {}, None)
    assert lease is not None
    with contextlib.closing(lease):
        assert lease.environment["CUDA_VISIBLE_DEVICES"] == "GPU-c0ffee"


def test_a_pool_looks_again_before_it_says_that_there_is_no_device(
    records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEATSIGHT_DEVICES", "")
    monkeypatch.setattr(device_pool, "REFRESH_S", -1.0)
    pool = DevicePool("cpu", 0.5)
    assert pool.count_for(1) == 0
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0")
    assert pool.count_for(1) == 1
    assert pool.count_for(0) == 0


def test_a_pool_gives_no_step_two_instances(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEATSIGHT_DEVICES")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install(monkeypatch, FakeGpu("GPU-1", mig=True, instances=(FakeGpu("MIG-1"), FakeGpu("MIG-2"))))
    pool = DevicePool("cpu", 0.5)
    assert pool.count_for(1) == 1
    with pytest.raises(ValueError, match="wants 2 devices and this machine has 2; a process can use only one MIG"):
        pool.count_for(2)
    leases = [pool.try_lease(1, {}, None) for _ in range(3)]
    assert [lease and lease.environment["CUDA_VISIBLE_DEVICES"] for lease in leases] == ["MIG-1", "MIG-2", None]
    assert "device MIG-1 is held" in pool.explain_wait(1, None)
    for lease in leases[:2]:
        assert lease is not None
        lease.close()
    assert pool.explain_wait(2, None).startswith("the machine has only 0 now")


def test_the_examples_of_the_page_on_devices_are_valid_in_the_launchpad() -> None:
    from beatsight_dagster.definitions import defs

    page = (JOBS_FILE.parents[3] / "docs" / "devices.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        assert dg.validate_run_config(defs.resolve_job_def("long_run"), yaml.safe_load(example))

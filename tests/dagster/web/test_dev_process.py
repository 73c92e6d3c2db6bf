"""`beatsight dev` as it is typed: what it starts ends with it, one for each data root, whatever lies in the folder."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from beatsight_core.manifest.read_manifest import manifest_key
from beatsight_core.settings import Settings
from beatsight_dagster.partitions import register, to_partition

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children that end with their parent")

PATIENCE_S = 150.0
LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
LOADED = "{ repositoriesOrError { __typename ... on RepositoryConnection { nodes { name } } } }"
SHADOWS = ("click", "dagster", "polars", "random", "yaml", "beatsight_core", "grpc", "psutil", "queue")


@dg.job
def nothing() -> None:
    """A job for a run that somebody lost."""


class Dev:
    """A `beatsight dev` that was started."""

    def __init__(self, settings: Settings, folder: Path, port: int, **environment: str):
        self.port, self.log = port, folder / f"dev-{time.monotonic_ns()}.log"
        script = folder / "bin" / "beatsight"  # as the package installs one: Python looks beside it for modules first
        script.parent.mkdir(exist_ok=True)
        script.write_text("from beatsight_core.cli.main import main\nmain()\n")
        command = [sys.executable, str(script), "dev"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(port), "--data-root", str(settings.data_root)],
                cwd=folder, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "BEATSIGHT_DEVICES": "", "WANDB_MODE": "disabled", **environment},
            )  # fmt: skip
        self.family: list[psutil.Process] = []

    def wait(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait for something, while this runs."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if found := holds():
                return found
            assert self.process.poll() is None, f"ended before {what}: {self.log.read_text()[-4000:]}"
            time.sleep(0.1)
        raise AssertionError(f"waited in vain for {what}: {self.log.read_text()[-4000:]}")

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask as the UI does; None while nobody answers."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{self.port}"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return json.load(answer)["data"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def is_up(self) -> bool:
        """Wait until it answers, and remember all of its processes."""
        self.wait(lambda: self.ask("{ version }"), "the web server to answer")
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        return bool(self.family)

    def services(self) -> psutil.Process:
        """The process that the others are children of."""
        return psutil.Process(self.process.pid).children()[0]

    def assert_nothing_is_left(self) -> None:
        """All that it had started ends."""
        _, alive = psutil.wait_procs(self.family, timeout=60)
        assert not [process.cmdline() for process in alive if process.is_running()]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Dev]]:
    """Start one in a folder; what is left of it at the end of a test is killed."""
    started: list[Dev] = []

    def begin(settings: Settings, folder: Path = tmp_path, port: int | None = None, **environment: str) -> Dev:
        started.append(Dev(settings, folder, port or free_port(), **environment))
        return started[-1]

    yield begin
    for dev in started:
        family = dev.family
        with contextlib.suppress(psutil.Error):
            family = [*family, *psutil.Process(dev.process.pid).children(recursive=True)]
        dev.process.kill()
        dev.process.wait()
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.fixture
def bare(corpus: Settings) -> Settings:
    """A data root whose workspace has no code locations, so that it starts in little time."""
    (corpus.dagster_home / "workspace.yaml").write_text("load_from: []\n")
    return corpus


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def launched(dev: Dev, partition: str) -> str | None:
    """Launch `prepare_data` through the web server; the id of the run."""
    job = {"repositoryLocationName": "beatsight", "repositoryName": "__repository__", "jobName": "prepare_data"}
    tags = [{"key": "dagster/partition", "value": partition}]
    answer = dev.ask(
        LAUNCH, params={"selector": job, "mode": "default", "runConfigData": {}, "executionMetadata": {"tags": tags}}
    )
    return answer["launchRun"]["run"]["runId"] if answer["launchRun"].get("run") else None


def materialized(settings: Settings, run_id: str) -> bool:
    """Whether a run made the manifest's asset. What its checks then say of the demo's faults is not the matter here."""
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        records = instance.fetch_materializations(dg.AssetKey("manifest"), limit=1).records
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert records or not run.is_finished, instance.all_logs(run_id)
        return bool(records)


@pytest.mark.long
def test_it_launches_runs_ends_with_its_parent_and_starts_again(
    corpus: Settings, start: Callable[..., Dev], tmp_path: Path
) -> None:
    crowded = tmp_path / "folder"
    crowded.mkdir()
    for name in SHADOWS:
        (crowded / f"{name}.py").write_text("raise RuntimeError('imported from the current folder')\n")
    key = manifest_key(corpus.manifests_dir / "demo.jsonl")
    with dg.DagsterInstance.from_config(str(corpus.dagster_home)) as instance:
        register(instance, [key])
    long = tmp_path / "a-folder-for-temporary-files-as-on-a-cluster" / ("x" * 80)
    long.mkdir(parents=True)
    dev = start(corpus, crowded, TMPDIR=str(long))
    dev.wait(lambda: (dev.ask(LOADED) or {}).get("repositoriesOrError", {}).get("nodes"), "the definitions to load")
    run_id = dev.wait(lambda: launched(dev, to_partition(key)), "a run to be launched")
    dev.wait(lambda: materialized(corpus, run_id), "the run to make the first asset")
    assert "current folder" not in dev.log.read_text()

    second = start(corpus)
    assert second.process.wait(PATIENCE_S) == 2
    said = second.log.read_text()
    assert f"process {dev.process.pid} on this machine" in said
    assert f"open http://127.0.0.1:{dev.port}, or end it: kill {dev.process.pid}" in said

    assert dev.is_up()
    gone = {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": str(tmp_path / "gone")})}
    with dg.DagsterInstance.from_config(str(corpus.dagster_home)) as instance:
        lost = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=gone).run_id
    dev.process.kill()
    third = start(corpus, port=dev.port)
    dev.assert_nothing_is_left()
    third.wait(lambda: (third.ask(LOADED) or {}).get("repositoriesOrError", {}).get("nodes"), "the next one to work")
    with dg.DagsterInstance.from_config(str(corpus.dagster_home)) as instance:
        assert instance.get_runs(dg.RunsFilter([lost]))[0].status == dg.DagsterRunStatus.FAILURE

    assert third.is_up()
    third.services().kill()
    assert third.process.wait(60) == 1
    assert "Error: The web server or the daemon ended by itself" in third.log.read_text()
    third.assert_nothing_is_left()


@pytest.mark.parametrize("end", ["Ctrl-C", pytest.param("both killed", marks=pytest.mark.long)])
def test_however_it_ends_nothing_is_left(end: str, bare: Settings, start: Callable[..., Dev]) -> None:
    dev = start(bare)
    assert dev.is_up()
    opened = f"The UI is open on http://127.0.0.1:{dev.port}; Ctrl-C ends it."
    dev.wait(lambda: opened in dev.log.read_text(), "the line that says so")
    assert "INFO" not in dev.log.read_text()
    if end == "Ctrl-C":
        dev.process.send_signal(signal.SIGINT)
        assert dev.process.wait(60) == 0
        assert not re.search(r"Traceback|Error:", dev.log.read_text()), dev.log.read_text()
    else:
        dev.services().kill()
        dev.process.kill()
    dev.assert_nothing_is_left()

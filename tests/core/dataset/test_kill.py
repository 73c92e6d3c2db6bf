"""Exports that are killed with -9 or interrupted, in real processes, and what the next run makes of it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beatsight_core.dataset.index import index_paths

EXPORT = """
import sys
from beatsight_core.dataset.export import export_dataset
from beatsight_core.settings import load_settings

if __name__ == "__main__":
    try:
        export_dataset(load_settings(sys.argv[1], environment={}), sys.argv[2], workers=int(sys.argv[3]))
    except KeyboardInterrupt:
        sys.exit(130)
"""

UNITS = "unit_hits = 4"


@pytest.fixture
def larger(corpus):
    """Enough units to be killed among them, and settings that a child process reads from the file."""
    (corpus.settings.data_root / "beatsight.toml").write_text(f"[dataset]\n{UNITS}\n")
    for number in range(40):
        corpus.add_file(f"take{number:02d}.flac", [0.1, 0.4, 0.7], seconds=4.0)
    corpus.write()
    return corpus


@pytest.fixture
def start(tmp_path: Path, larger):
    """Start an export in a process group of its own."""
    script = tmp_path / "export.py"
    script.write_text(EXPORT)
    started: list[subprocess.Popen] = []

    def begin(workers: int) -> subprocess.Popen:
        command = [sys.executable, str(script), str(larger.settings.data_root), str(larger.manifest), str(workers)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        started.append(
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
        )
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for_shards(corpus, count: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while len(list(corpus.settings.shards_dir.glob("*/*.parquet"))) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def children_of(pid: int) -> list[int]:
    """Living descendants, by the process table."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(folder.name)] = (int(fields[1]), fields[0])
    found, edge = [], [pid]
    while edge:
        edge = [child for child, (parent, state) in parents.items() if parent in edge and state != "Z"]
        found += edge
    return found


def gone(pids: list[int], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_half_way_and_run_again_is_as_if_never_killed(larger, start, workers):
    process = start(workers)
    wait_for_shards(larger, 3, process)
    helpers = children_of(process.pid)
    process.kill()
    process.wait()
    assert gone(helpers)
    done = larger.shard_files()
    kept = {name: data for name, data in done.items() if name.endswith(".parquet")}
    assert not [path for key in larger.settings.dataset_dir.glob("corpus-*") for path in key.glob("*.json")]

    resumed = larger.export(workers=workers)
    assert resumed.shards_reused >= len(kept)
    after = larger.shard_files()
    assert all(after[name] == data for name, data in kept.items())

    shutil.rmtree(larger.settings.dataset_dir)
    shutil.rmtree(larger.settings.catalog_dir)
    whole = larger.export(workers=1)
    assert whole.to_json()["dataset_digest"] == resumed.to_json()["dataset_digest"]
    assert larger.shard_files() == after


def test_two_exports_at_once_end_as_one_would(larger, start):
    both = [start(1), start(2)]
    assert [process.communicate(timeout=120)[1] for process in both] == ["", ""]
    assert [process.returncode for process in both] == [0, 0]
    together = larger.shard_files()
    found = larger.export()
    assert (found.shards_written, found.shards_reused) == (0, len(together))
    assert larger.shard_files() == together
    assert larger.export(overwrite=True).to_json()["dataset_digest"] == found.to_json()["dataset_digest"]
    assert larger.shard_files() == together


def test_ctrl_c_ends_at_once_and_leaves_only_whole_shards(larger, start):
    process = start(2)
    wait_for_shards(larger, 2, process)
    helpers = children_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the whole group
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert gone(helpers)
    assert all(name.endswith(".parquet") for name in larger.shard_files())
    assert not [path for path in index_paths(larger.settings, larger.export(workers=1).key) if "tmp" in path.name]


def test_a_killed_worker_is_an_error_not_a_hang(larger, start):
    process = start(2)
    wait_for_shards(larger, 1, process)
    workers = [pid for pid in children_of(process.pid) if not children_of(pid) and is_worker(pid)]
    os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "A worker process was killed" in errors
    assert larger.export(workers=1).to_json()["hits"] == 120


def is_worker(pid: int) -> bool:
    """Whether it is a worker rather than Python's resource tracker."""
    return b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()

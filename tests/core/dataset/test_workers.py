import os
import subprocess
import sys

import pytest

from beatsight_core.dataset.workers import WorkerPool, worker_count
from beatsight_core.errors import AudioError


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once_and_named(workers):
    with WorkerPool(abs, workers) as pool:
        assert sorted(pool.run(((number, -number) for number in range(20)), 20)) == [(n, n) for n in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_function_comes_as_it_is(workers):
    with WorkerPool(int, workers) as pool, pytest.raises(ValueError, match="x"):
        list(pool.run([(0, "1"), (1, "x"), (2, "3")], 3))


def test_an_error_of_ours_crosses_the_border_whole():
    error = AudioError("what", where="where", why="why", do="do")
    with WorkerPool(_raise, 2) as pool, pytest.raises(AudioError) as caught:
        list(pool.run([(0, error), (1, error)], 2))
    assert str(caught.value) == str(error)


def _raise(error: Exception) -> None:
    raise error


def test_jobs_are_taken_only_as_room_comes_up():
    taken = []

    def jobs():
        for number in range(100):
            taken.append(number)
            yield number, number

    with WorkerPool(abs, 2) as pool:
        next(pool.run(jobs(), 100))
    assert len(taken) < 20


def test_a_single_job_starts_no_process():
    with WorkerPool(_process, 4) as pool:
        assert list(pool.run([(0, 0)], 1)) == [(0, os.getpid())]


def _process(_: int) -> int:
    return os.getpid()


def test_workers_do_not_import_the_calling_program(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "print('begun')\n"
        "from beatsight_core.dataset.workers import WorkerPool\n"
        "with WorkerPool(abs, 2) as pool:\n"
        "    print(sorted(pool.run([(0, -1), (1, -2)], 2)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert output.split("\n") == ["begun", "[(0, 1), (1, 2)]", ""]


def test_as_many_workers_as_wanted_or_one_per_core():
    assert worker_count(3) == 3
    assert worker_count(0) == len(os.sched_getaffinity(0))


def test_a_worker_imports_no_more_than_it_needs():
    script = (
        "import sys, beatsight_core.dataset.shard\n"
        "print([name for name in ('torch', 'polars', 'rich', 'dagster', 'matplotlib') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert output == "[]\n"

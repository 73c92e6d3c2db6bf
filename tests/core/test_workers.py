import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from beatsight_core.errors import AudioError
from beatsight_core.workers import WorkerPool, worker_count


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once_and_named(workers):
    with WorkerPool(abs, workers) as pool:
        assert sorted(pool.run(((number, -number) for number in range(20)), 20)) == [(n, n) for n in range(20)]


@pytest.mark.parametrize("workers", [1, 3])
def test_map_keeps_the_order_of_the_jobs(workers):
    with WorkerPool(_slow_if_even, workers) as pool:
        assert list(pool.map(range(12), 12)) == list(range(12))
        assert list(pool.map(iter(range(5)))) == list(range(5))


def _slow_if_even(number: int) -> int:
    if number % 2 == 0:
        time.sleep(0.02)
    return number


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
        "from beatsight_core.workers import WorkerPool\n"
        "with WorkerPool(abs, 2) as pool:\n"
        "    print(sorted(pool.run([(0, -1), (1, -2)], 2)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert output.split("\n") == ["begun", "[(0, 1), (1, 2)]", ""]


INTERRUPTED = """
import sys, time
from beatsight_core.workers import WorkerPool
try:
    with WorkerPool(time.sleep, 2) as pool:
        pool.start()
        print("started", flush=True)
        list(pool.map([0.05] * 2000))
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


def test_ctrl_c_while_workers_start_shows_no_traceback(tmp_path):
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the whole group
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "interrupted\n", "")


def test_a_worker_uses_one_thread_and_a_partial_will_do():
    before = dict(os.environ)
    with WorkerPool(partial(_variable, "POLARS_MAX_THREADS"), 2) as pool:
        assert list(pool.map([0, 1], 2)) == ["1", "1"]
    assert dict(os.environ) == before


def _variable(name: str, _: int) -> str | None:
    return os.environ.get(name)


def test_as_many_workers_as_wanted_or_one_per_core():
    assert worker_count(3) == 3
    assert worker_count(0) == len(os.sched_getaffinity(0))


def test_a_worker_imports_no_more_than_it_needs():
    script = (
        "import sys, beatsight_core.dataset.shards.write_shard\n"
        "print([name for name in ('torch', 'polars', 'rich', 'dagster', 'matplotlib') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert output == "[]\n"

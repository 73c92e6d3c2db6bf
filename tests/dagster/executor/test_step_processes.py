"""The server that steps are forked from: it tells how a step ended, keeps its id until then, is replaced if lost."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from beatsight_dagster.executor.step_processes import StepOrder, StepProcess, StepProcesses, one_server

# Without the arguments of a step, Dagster's command ends with an exit code of its own.
NOTHING_TO_DO = StepOrder({name: value for name, value in os.environ.items() if not name.startswith("DAGSTER")}, 1.0)
LIMIT_S = 120.0


@pytest.fixture(scope="module")
def processes() -> Iterator[StepProcesses]:
    with one_server():
        assert StepProcesses.shared is not None
        yield StepProcesses.shared
    assert StepProcesses.shared is None


def server_of(process: StepProcess) -> psutil.Process:
    return psutil.Process(process.pid).parent()


def test_the_exit_code_of_a_step_is_told_and_its_id_kept_until_then(processes: StepProcesses) -> None:
    process = processes.start(NOTHING_TO_DO, [])
    server, deadline = server_of(process), time.monotonic() + LIMIT_S
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.wait(deadline)
    assert process.returncode is not None
    assert process.returncode > 0
    while psutil.pid_exists(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    following = processes.start(NOTHING_TO_DO, [])
    assert server_of(following) == server
    assert following.wait(deadline)


def test_a_step_that_is_killed_says_by_which_signal(processes: StepProcesses) -> None:
    process = processes.start(NOTHING_TO_DO, [])
    process.send_signal(signal.SIGKILL)
    assert process.wait(time.monotonic() + LIMIT_S)
    assert process.returncode == -signal.SIGKILL


def test_a_server_that_is_lost_takes_its_steps_along_and_is_replaced(processes: StepProcesses) -> None:
    process = processes.start(NOTHING_TO_DO, [])
    server = server_of(process)
    os.kill(process.pid, signal.SIGSTOP)
    server.kill()
    assert process.wait(time.monotonic() + LIMIT_S)
    assert process.returncode == -signal.SIGKILL
    following = processes.start(NOTHING_TO_DO, [])
    assert server_of(following) != server
    assert following.wait(time.monotonic() + LIMIT_S)


def test_a_server_that_is_lost_before_it_has_read_the_order_ends_the_step_as_well() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as started:
        ours, theirs = socket.socketpair()
        ours.sendall(b"unread")
        theirs.close()
        process = StepProcess(started.pid, ours)
        assert process.wait(time.monotonic() + LIMIT_S)
        assert process.returncode == -signal.SIGKILL
        assert started.wait(LIMIT_S) == -signal.SIGKILL

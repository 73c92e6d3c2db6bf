import os
import signal
import subprocess
import sys
import time

from beatsight_core.process_groups import members, signal_group, wait_for_others

LEADER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"])
input()
"""


def test_a_group_is_its_leader_and_what_that_started_until_all_have_ended():
    with subprocess.Popen(
        [sys.executable, "-c", LEADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        leader.stdout.readline()  # the child is there
        group = leader.pid
        assert len(members(group)) == 2
        leader.kill()
        leader.wait()
        began = time.monotonic()
        assert not wait_for_others(group, 0.2)
        assert time.monotonic() - began >= 0.2
        assert len(members(group)) == 1
        signal_group(group, signal.SIGKILL)
        assert wait_for_others(group, 30.0)
    signal_group(group, signal.SIGTERM)  # nobody is left, and that is no error


def test_who_has_ended_and_was_not_asked_about_yet_does_not_count():
    process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert members(process.pid) == []
    process.wait()


def test_a_process_does_not_wait_for_itself():
    code = "import os\nfrom beatsight_core.process_groups import *\nassert wait_for_others(os.getpid(), 0)"
    subprocess.run([sys.executable, "-c", code], check=True, start_new_session=True)

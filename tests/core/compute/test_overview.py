"""What `beatsight devices` shows is what the locks say."""

import contextlib
import os
import subprocess
import sys
import time

from beatsight_core.compute.devices import discover_devices
from beatsight_core.compute.leases import join_queue, try_lease
from beatsight_core.compute.overview import overview
from beatsight_core.compute.tickets import STALE_AFTER_S

TWO = {"BEATSIGHT_DEVICES": "0,1"}


def look(environment):
    return overview({**environment, "BEATSIGHT_LEASE_DIR": os.environ["BEATSIGHT_LEASE_DIR"]})


def test_a_machine_without_devices_has_nothing_to_show():
    seen = look({"BEATSIGHT_DEVICES": ""})
    assert (seen.devices, seen.waiting) == ((), ())
    assert seen.to_json()["devices"] == []


def test_a_holder_is_shown_with_the_processes_that_have_the_device():
    lease = try_lease(1, discover_devices(TWO), {"run": "a1", "step": "train"})
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=lease.descriptors)
    lease.close()
    try:
        held, free = look(TWO).devices
        assert (held.state, dict(held.holder)) == ("leased", {"run": "a1", "step": "train"})
        assert [process.pid for process in held.processes] == [worker.pid]
        assert "input()" in held.processes[0].command
        assert abs(held.since - time.time()) < 3600
        assert (free.state, free.processes, dict(free.holder)) == ("free", (), {})
    finally:
        worker.communicate(b"\n")
    after = look(TWO).devices
    assert [entry.state for entry in after] == ["free", "free"]


def test_who_waits_is_shown_in_order_and_behind_whom(leases):
    devices = discover_devices(TWO)
    with contextlib.closing(try_lease(1, devices, {"run": "a1"})), contextlib.ExitStack() as stack:
        wide = stack.enter_context(contextlib.closing(join_queue(2, devices, {"run": "b2"})))
        stack.enter_context(contextlib.closing(join_queue(1, devices[1:], {"run": "c3"})))
        first, second = look(TWO).waiting
        assert (first.count, dict(first.who), first.behind) == (2, {"run": "b2"}, ("device 0: run a1",))
        assert (second.count, second.behind) == (1, ("asked before: run b2",))
        assert not first.stopped
        assert first.since <= second.since <= time.time()
        long_ago = time.time() - 2 * STALE_AFTER_S
        os.utime(wide.path, (long_ago, long_ago))
        assert look(TWO).waiting[0].stopped
    assert look(TWO).waiting == ()


def test_a_leased_device_that_this_process_may_not_see_is_shown_all_the_same():
    with contextlib.closing(try_lease(1, discover_devices({"BEATSIGHT_DEVICES": "7"}), {"run": "a1"})):
        (entry,) = look({"BEATSIGHT_DEVICES": ""}).devices
        assert (entry.device.index, entry.state) == ("7", "leased")
        assert "not visible" in entry.device.name
    assert look({"BEATSIGHT_DEVICES": ""}).devices == ()

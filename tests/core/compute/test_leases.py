"""Leases hold at most one each, in turn, and end with their holder."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatsight_core.compute import leases as module
from beatsight_core.compute.devices import Device, discover_devices
from beatsight_core.compute.leases import (
    Lease,
    device_environment,
    device_states,
    join_queue,
    lease_folder,
    try_lease,
)
from beatsight_core.compute.tickets import STALE_AFTER_S, waiting_requests
from beatsight_core.compute.waiting import explain_wait, wait_lease
from beatsight_core.errors import DeviceError, TimeLimitError
from tests.core.compute.fake_driver import FakeGpu, install, install_torch, no_driver

GIB = 2**30


def device(index: str, used: int = 0) -> Device:
    return Device(index, "test", 24 * GIB, used * GIB, "")


TWO = [device("0"), device("1")]


def indices(lease: Lease | None) -> list[str]:
    assert lease is not None
    return [leased.index for leased in lease.devices]


def test_all_or_none() -> None:
    first = try_lease(1, TWO)
    assert try_lease(2, TWO) is None
    second = try_lease(1, TWO)
    assert sorted(indices(first) + indices(second)) == ["0", "1"]
    assert try_lease(1, TWO) is None
    assert first is not None
    first.close()
    first.close()
    assert indices(try_lease(1, TWO)) == ["0"]


def test_least_memory_in_use_comes_first_and_a_filled_device_is_left_alone() -> None:
    devices = [device("0", used=4), device("1", used=20), device("2", used=1)]
    assert indices(try_lease(1, devices)) == ["2"]
    assert try_lease(2, devices) is None
    assert [state.state for state in device_states(devices)] == ["free", "filled", "leased"]
    with contextlib.closing(join_queue(2, devices)) as ticket:
        assert "device 1 is filled by another program (20.0 of 24.0 GiB in use)" in explain_wait(devices, ticket)


def test_a_lease_shows_its_devices_and_no_others() -> None:
    lease = try_lease(2, TWO)
    assert lease is not None
    assert lease.environment["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert lease.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


MIG_DEVICES = [Device(uuid, "MIG", 18 * GIB, 0, "", uuid) for uuid in ("MIG-1", "MIG-2")]


def test_a_lease_names_its_devices_by_uuid_where_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeGpu("GPU-1", used=GIB), FakeGpu("GPU-2"))
    lease = try_lease(1, discover_devices({}))
    assert lease is not None
    with contextlib.closing(lease):
        assert lease.environment == {
            "CUDA_VISIBLE_DEVICES": "GPU-2",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "BEATSIGHT_DEVICES": "GPU-2",
            "BEATSIGHT_LEASED": "GPU-2",
        }
        # The process that has it sees that device and no other, with its number and memory.
        assert discover_devices(lease.environment) == list(lease.devices)
        assert [device.index for device in lease.devices] == ["1"]


def test_a_lease_never_mixes_uuids_and_numbers() -> None:
    devices = [Device("0", "known", 0, 0, "", "GPU-1"), device("1")]
    assert device_environment(devices)["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert device_environment(devices[:1])["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    assert set(device_environment([]).values()) == {"", "PCI_BUS_ID"}


def test_a_device_has_one_lock_however_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeGpu("GPU-1", refuses=frozenset({"open"})), FakeGpu("GPU-2"))
    lease = try_lease(1, discover_devices({"CUDA_VISIBLE_DEVICES": "0"}))
    assert lease is not None
    assert device_states(discover_devices({"CUDA_VISIBLE_DEVICES": "GPU-2"}))[0].state == "leased"
    no_driver(monkeypatch)
    assert device_states(discover_devices({"CUDA_VISIBLE_DEVICES": "GPU-2"}))[0].state == "leased"
    install_torch(monkeypatch, "GPU-2")
    assert device_states(discover_devices({}))[0].state == "leased"


def test_instances_of_one_gpu_are_leased_apart() -> None:
    first, second = try_lease(1, MIG_DEVICES), try_lease(1, MIG_DEVICES)
    assert first is not None
    assert second is not None
    assert [lease.environment["CUDA_VISIBLE_DEVICES"] for lease in (first, second)] == ["MIG-1", "MIG-2"]
    assert try_lease(1, MIG_DEVICES) is None


def test_instances_of_older_drivers_have_locks_of_their_own(leases: Path) -> None:
    named = discover_devices({"CUDA_VISIBLE_DEVICES": "MIG-GPU-5e1f/1/0,MIG-GPU-5e1f/2/0"})
    first = try_lease(1, named)
    assert first is not None
    assert first.environment["CUDA_VISIBLE_DEVICES"] == "MIG-GPU-5e1f/1/0"
    assert [state.state for state in device_states(named)] == ["leased", "free"]


def test_no_process_gets_two_instances_and_none_are_saved_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [device("0"), device("1")]
    assert try_lease(2, MIG_DEVICES) is None
    with contextlib.closing(join_queue(2, [*MIG_DEVICES, *gpus])) as ticket:
        assert indices(try_lease(1, [*MIG_DEVICES, *gpus])) == ["MIG-1"]
        assert indices(try_lease(2, [*MIG_DEVICES, *gpus], ticket=ticket)) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-3,MIG-4")
    with pytest.raises(DeviceError, match=r"this machine has 2; a process can use only one MIG instance"):
        wait_lease(2, timeout_s=0.0)
    assert indices(wait_lease(1)) == ["MIG-3"]


def test_a_lease_passed_on_ends_with_the_process_that_has_it() -> None:
    lease = try_lease(1, TWO[:1], {"run": "a1", "step": "train"})
    assert lease is not None
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=lease.descriptors)
    lease.close()
    try:
        assert try_lease(1, TWO[:1]) is None
        assert "held by run a1 step train since" in explain_wait(TWO[:1])
    finally:
        child.kill()
        child.wait()
    assert try_lease(1, TWO[:1]) is not None


def test_a_wide_request_is_not_starved() -> None:
    running = try_lease(1, TWO)
    assert running is not None
    wide, narrow = join_queue(2, TWO), join_queue(1, TWO)
    # One device is free, and it is being saved up for the request that came first.
    assert try_lease(2, TWO, ticket=wide) is None
    assert try_lease(1, TWO, ticket=narrow) is None
    assert try_lease(1, TWO) is None
    running.close()
    assert try_lease(1, TWO, ticket=narrow) is None
    both = try_lease(2, TWO, ticket=wide)
    wide.close()
    assert both is not None
    assert try_lease(1, TWO, ticket=narrow) is None
    both.close()
    assert try_lease(1, TWO, ticket=narrow) is not None
    narrow.close()


def test_a_later_request_may_take_what_earlier_ones_leave() -> None:
    three = [*TWO, device("2")]
    first, second = join_queue(1, three), join_queue(1, three)
    assert try_lease(1, three, ticket=second) is not None
    assert try_lease(1, three, ticket=first) is not None
    first.close()
    second.close()
    only_zero = join_queue(1, TWO[:1])
    other = join_queue(1, three[1:])
    assert try_lease(1, three[1:], ticket=other) is not None
    only_zero.close()
    other.close()


def test_a_request_that_cannot_be_met_now_holds_nobody_up() -> None:
    devices = [device("0"), device("1", used=23)]
    with contextlib.closing(join_queue(2, devices)):
        assert indices(try_lease(1, devices)) == ["0"]


def test_a_request_that_no_longer_asks_is_passed_over(leases: Path) -> None:
    with contextlib.closing(join_queue(1, TWO[:1])) as silent:
        assert try_lease(1, TWO[:1]) is None
        long_ago = time.time() - 2 * STALE_AFTER_S
        os.utime(silent.path, (long_ago, long_ago))
        lease = try_lease(1, TWO[:1])
        assert lease is not None
        lease.close()
        try_lease(1, TWO[:1], ticket=silent).close()  # type: ignore[union-attr]
        assert try_lease(1, TWO[:1]) is None


def test_a_dead_request_leaves_the_queue(leases: Path) -> None:
    code = (
        "from beatsight_core.compute.devices import discover_devices as d\n"
        "from beatsight_core.compute.leases import join_queue\n"
        "t = join_queue(1, d({'BEATSIGHT_DEVICES': '0'})); print('joined', flush=True); input()\n"
    )
    waiting = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == b"joined\n"
    assert len(waiting_requests(leases)) == 1
    waiting.kill()
    waiting.communicate()
    assert try_lease(1, TWO[:1]) is not None
    assert waiting_requests(leases) == []
    assert not list(leases.glob("*.ticket"))


def test_a_foreign_file_in_the_queue_does_no_harm(leases: Path) -> None:
    join_queue(1, TWO).close()
    (leases / "00000000000000000000.ticket").write_text("not one of ours")
    assert try_lease(1, TWO) is not None


def test_waiting_ends_when_the_device_comes_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0")
    holder = try_lease(1, [Device("0", "test", 0, 0, "")], {"run": "first"})
    assert holder is not None
    said: list[str] = []

    def hear(story: str) -> None:
        said.append(story)
        holder.close()

    lease = wait_lease(1, {"run": "second"}, poll_s=0.01, waiting=hear)
    assert indices(lease) == ["0"]
    assert said[0].startswith("device 0 is held by run first since")


def test_waiting_gives_up_in_time_and_says_what_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0")
    holder = try_lease(1, [Device("0", "test", 0, 0, "")], {"run": "first"})
    assert holder is not None
    with pytest.raises(TimeLimitError, match="No device came free within"):
        wait_lease(1, timeout_s=0.0, poll_s=0.01)
    with pytest.raises(DeviceError, match=r"2 device\(s\) were asked for and this machine has 1"):
        wait_lease(2)


def test_the_folder_is_shared_by_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lease_folder({}).name == "beatsight-leases"
    assert lease_folder({module.FOLDER_VARIABLE: "/run/leases"}) == Path("/run/leases")
    first = try_lease(1, TWO)
    assert first is not None
    modes = {path.name: path.stat().st_mode & 0o777 for path in lease_folder().iterdir()}
    assert modes == {"queue.lock": 0o666, "device-0.lock": 0o666, "device-1.lock": 0o666}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5)), min_size=1, max_size=12))
def test_no_device_is_leased_twice_and_everybody_is_served(requests: list[tuple[int, int]]) -> None:
    """Requests of different widths, and of different patience: each asks in a different order every round."""
    folder = lease_folder() / "property"
    devices = [device(str(number)) for number in range(3)]
    tickets = {i: join_queue(count, devices, folder=folder) for i, (count, _) in enumerate(requests)}
    held: dict[int, Lease] = {}
    rounds = 0
    while tickets or held:
        rounds += 1
        assert rounds < 200
        for i in sorted(tickets, key=lambda i: (requests[i][1] * rounds) % 7):
            lease = try_lease(requests[i][0], devices, ticket=tickets[i], folder=folder)
            if lease is not None:
                held[i] = lease
                tickets.pop(i).close()
        leased = [leased.index for lease in held.values() for leased in lease.devices]
        assert len(leased) == len(set(leased))
        if held:
            held.pop(next(iter(held))).close()

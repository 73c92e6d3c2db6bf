"""A process that uses CUDA itself holds its device, and one that does not holds none."""

import contextlib
import logging
import os
import threading

import pytest
import torch

from beatsight_core.compute.devices import discover_devices
from beatsight_core.compute.hold import device_for
from beatsight_core.compute.leases import device_states, try_lease
from beatsight_core.errors import DeviceError, TimeLimitError


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices that need not exist, and a torch that says it could use them."""
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0,1")
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def states() -> list[str]:
    return [state.state for state in device_states(discover_devices())]


@pytest.mark.usefixtures("two_devices")
@pytest.mark.parametrize(("wanted", "index"), [("auto", "0"), ("cuda", "0"), ("cuda:1", "1")])
def test_a_device_is_held_and_alone_visible_while_the_block_runs(wanted: str, index: str) -> None:
    all_of_them, before = discover_devices(), dict(os.environ)
    with device_for(wanted, {"verb": "train"}) as device:
        assert device == "cuda"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == os.environ["BEATSIGHT_LEASED"] == index
        held = {state.device.index: state for state in device_states(all_of_them)}
        assert held[index].state == "leased"
        assert held[index].note["verb"] == "train"
        with device_for("cuda") as again:  # what it starts asks for no second one
            assert again == "cuda"
            assert sum(state.state == "leased" for state in device_states(all_of_them)) == 1
    assert dict(os.environ) == before
    assert states() == ["free", "free"]


@pytest.mark.usefixtures("two_devices")
def test_several_devices_are_held_all_or_none() -> None:
    all_of_them = discover_devices()
    with device_for("auto", {"verb": "train"}, count=2) as device:
        assert device == "cuda"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
        assert [state.state for state in device_states(all_of_them)] == ["leased", "leased"]
    assert states() == ["free", "free"]
    with pytest.raises(DeviceError, match="3 device"), device_for("cuda", count=3):
        pass
    other = try_lease(1, all_of_them)
    assert other is not None
    with contextlib.closing(other), pytest.raises(TimeLimitError), device_for("cuda", count=2, timeout_s=0.0):
        pass


@pytest.mark.usefixtures("two_devices")
@pytest.mark.parametrize("wanted", ["cpu", "cuda:7", "cuda:x", "tpu"])
def test_nothing_is_held_for_the_cpu_or_for_what_is_not_there(wanted: str) -> None:
    with device_for(wanted) as device:
        assert device == wanted
        assert states() == ["free", "free"]


@pytest.mark.usefixtures("two_devices")
@pytest.mark.parametrize(
    ("name", "value"), [("BEATSIGHT_LEASED", "0"), ("BEATSIGHT_LEASED", ""), ("BEATSIGHT_DEVICES", "")]
)
def test_nothing_is_held_under_a_lease_or_without_devices(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with device_for("auto") as device:
        assert device == "auto"
        assert "leased" not in states()


def test_a_torch_for_the_cpu_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0")
    monkeypatch.setattr(torch.version, "cuda", None)
    with device_for("auto") as device:
        assert device == "auto"
        assert states() == ["free"]


@pytest.mark.usefixtures("two_devices")
def test_it_waits_for_the_device_that_was_named_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    other = try_lease(1, discover_devices()[1:], {"run": "a1"})
    assert other is not None
    caplog.set_level(logging.INFO, "beatsight")
    logging.getLogger("beatsight").propagate = True
    timer = threading.Timer(0.2, other.close)
    timer.start()
    with device_for("cuda:1"):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    timer.join()
    assert "Waits for a device (`--device cpu` does not wait): device 1 is held by run a1" in caplog.text

"""A process that uses CUDA itself holds its device, and one that does not holds none."""

import contextlib
import logging
import os
import sys
import threading

import pytest
import torch

from beatsight_core.compute.devices import discover_devices
from beatsight_core.compute.hold import device_for
from beatsight_core.compute.leases import device_states, join_queue, try_lease
from beatsight_core.errors import DeviceError, TimeLimitError
from tests.core.compute.fake_driver import FakeGpu, FakeNvml


@pytest.fixture
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices that need not exist, and a torch that says it could use them."""
    monkeypatch.setenv("BEATSIGHT_DEVICES", "0,1")
    monkeypatch.setattr(torch.version, "cuda", "13.0")


@pytest.fixture
def old_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one GPU whose driver supports CUDA 12.7, as far as NVML tells."""
    driver = FakeNvml(FakeGpu("GPU-aaaa1111"))
    monkeypatch.setattr(driver, "nvmlSystemGetCudaDriverVersion", lambda: 12070)
    monkeypatch.setattr(driver, "nvmlSystemGetDriverVersion", lambda: "566.03")
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


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


@pytest.mark.usefixtures("old_driver")
@pytest.mark.parametrize(
    ("cuda", "says"), [("13.0", "needs driver 580 or newer"), (None, "is built for the CPU")], ids=["CUDA 13", "CPU"]
)
@pytest.mark.parametrize("wanted", ["auto", "cuda", "cuda:0"])
def test_nobody_waits_for_a_device_that_torch_cannot_use(
    wanted: str, cuda: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    holder = try_lease(1, discover_devices())  # it would wait for this one
    assert holder is not None
    with contextlib.closing(holder), pytest.raises(DeviceError, match=says) as caught, device_for(wanted, timeout_s=60):
        pass
    assert "566.03 supports CUDA 12.7" in str(caught.value)
    with device_for("cpu") as device:
        assert device == "cpu"


@pytest.mark.usefixtures("old_driver")
def test_a_torch_that_fits_the_driver_gets_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    with device_for("auto") as device:
        assert device == "cuda"
        assert os.environ["BEATSIGHT_LEASED"] == "GPU-aaaa1111"


@pytest.mark.usefixtures("two_devices")
def test_small_work_takes_a_free_device_else_the_cpu_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "beatsight")
    logging.getLogger("beatsight").propagate = True
    first = try_lease(1, discover_devices(), {"run": "a1"})
    assert first is not None
    with contextlib.closing(first), device_for("auto", small=True) as device:
        assert (device, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cuda", "1")
        assert not caplog.text
        with pytest.MonkeyPatch.context() as elsewhere:  # a second process, without this one's lease
            elsewhere.delenv("BEATSIGHT_LEASED")
            elsewhere.setenv("BEATSIGHT_DEVICES", "0,1")
            before = dict(os.environ)
            with device_for("auto", small=True) as other:
                assert other == "cpu"
                assert dict(os.environ) == before
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("Device 0 is held by run a1 since")
    assert line.endswith("This is small work, so it runs on the CPU (`--device cuda` waits)")


@pytest.mark.usefixtures("two_devices")
def test_small_work_stands_behind_those_who_wait(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "beatsight")
    logging.getLogger("beatsight").propagate = True
    ahead = join_queue(2, discover_devices(), {"verb": "train"})  # both free devices are saved for it
    with contextlib.closing(ahead), device_for("auto", small=True) as device:
        assert device == "cpu"
    assert "1 asked before: verb train" in caplog.text
    assert states() == ["free", "free"]


@pytest.mark.usefixtures("two_devices")
def test_small_work_that_names_cuda_waits() -> None:
    holder = try_lease(2, discover_devices())
    assert holder is not None
    timer = threading.Timer(0.5, holder.close)
    timer.start()
    with device_for("cuda", small=True) as device:
        assert device == "cuda"
    timer.join()

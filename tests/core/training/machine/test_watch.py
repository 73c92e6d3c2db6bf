"""What an attempt takes of its machine."""

from types import SimpleNamespace

import pytest
import torch

from beatsight_core.training.machine.watch import Watch, possible_uuids
from tests.core.compute.fake_driver import GIB, FakeGpu, install


def test_on_the_cpu_the_process_is_watched_and_no_device():
    with Watch(on_cuda=False) as watch:
        while watch.take()["cpu_share"] <= 0:  # the clock of processes ticks every 10 ms
            sum(range(10_000))
        sum(range(3_000_000))
        found = watch.take()
    assert 0 < found["cpu_share"] <= 1
    assert found["memory_bytes"] > 10_000_000
    assert (found["device_utilisation"], found["device_memory_bytes"]) == (None, None)


def test_without_a_device_nvml_is_not_missed():
    if torch.cuda.is_available():
        pytest.skip("there is a device")
    with Watch(on_cuda=True) as watch:
        assert watch.take()["device_utilisation"] is None


def seen_by_torch(monkeypatch, *uuids):
    """A torch that sees devices of these UUIDs, as it writes them."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(uuids))
    properties = [SimpleNamespace(uuid=uuid) for uuid in uuids]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: properties[number])


def measured(monkeypatch):
    """What a watch measures, without waiting for its clock."""
    monkeypatch.setattr("beatsight_core.training.machine.watch.SAMPLE_EVERY_S", 0.001)
    with Watch(on_cuda=True) as watch:
        found = watch.take()
        while found["device_memory_bytes"] is None:
            found = watch.take()
    return found["device_utilisation"], found["device_memory_bytes"]


@pytest.mark.parametrize("unknown", ["first", "last"])
def test_a_device_that_nvml_does_not_know_leaves_the_others_watched(unknown, monkeypatch):
    install(monkeypatch, FakeGpu("GPU-1", used=3 * GIB), FakeGpu("GPU-2", used=GIB))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    seen_by_torch(monkeypatch, *(["0", "1", "2"] if unknown == "first" else ["1", "2", "0"]))
    assert measured(monkeypatch) == (0.5, 3 * GIB)


@pytest.mark.parametrize("visible", ["MIG-5a11", "0", None])
def test_an_instance_is_watched_by_its_own_uuid(visible, monkeypatch):
    instance = FakeGpu("MIG-5a11", used=2 * GIB)
    install(monkeypatch, FakeGpu("GPU-1", used=90 * GIB, mig=True, instances=(instance,)))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    # Torch may name an instance by its own UUID or, under a lease that names the instance, by that of its GPU.
    seen_by_torch(monkeypatch, "1" if visible == "MIG-5a11" else "5a11")
    assert measured(monkeypatch) == (None, 2 * GIB)


def test_the_beginning_of_a_uuid_is_completed_by_torch(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-4f, GPU-5e")
    seen_by_torch(monkeypatch, "4f1e", "GPU-5e2d")
    assert possible_uuids() == [("GPU-4f", "GPU-4f1e", "MIG-4f1e"), ("GPU-5e", "GPU-5e2d")]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_device_tells_how_much_of_it_is_in_use():
    held = torch.zeros(1 << 28, dtype=torch.uint8, device="cuda")
    assert len(possible_uuids()) == torch.cuda.device_count()
    with Watch(on_cuda=True) as watch:
        found = watch.take()
        while found["device_memory_bytes"] is None:
            held += 1
            found = watch.take()
    assert found["device_memory_bytes"] >= held.numel()
    assert 0 <= found["device_utilisation"] <= 1

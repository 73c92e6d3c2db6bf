"""What a sitting takes of its machine."""

import pytest
import torch

from beatsight_core.training.watch import Watch, visible_uuids


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_device_tells_how_much_of_it_is_in_use():
    held = torch.zeros(1 << 28, dtype=torch.uint8, device="cuda")
    assert len(visible_uuids()) == torch.cuda.device_count()
    with Watch(on_cuda=True) as watch:
        found = watch.take()
        while found["device_memory_bytes"] is None:
            held += 1
            found = watch.take()
    assert found["device_memory_bytes"] >= held.numel()
    assert 0 <= found["device_utilisation"] <= 1

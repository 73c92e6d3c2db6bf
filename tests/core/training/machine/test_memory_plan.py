"""What training needs beside its clips, counted operation by operation without a device, and what is left for them."""

import logging
import weakref

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from beatsight_core.features.spec import FeatureSpec
from beatsight_core.settings import load_settings
from beatsight_core.training import fit as fit_module
from beatsight_core.training import outcome
from beatsight_core.training.data import batches
from beatsight_core.training.data.batches import HostClips, MappedClips, ResidentClips, choose_residence, load_clips
from beatsight_core.training.fit import fit
from beatsight_core.training.machine import memory_plan
from beatsight_core.training.machine.memory_plan import WORKSPACE_BYTES, device_room, step_bytes
from beatsight_core.training.net.build_net import MODELS, build_model

CPU, GB = torch.device("cpu"), 10**9
CLIPS, CLASSES = 1024, 18


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return FeatureSpec.from_settings(load_settings(tmp_path_factory.mktemp("empty"), {}))


def peak_bytes(model, spec, dtype, *, training):
    """Peak of a pass over a batch, forward and backward in training: every allocation is counted and none is made."""
    with FakeTensorMode():
        net = build_model(model, spec, CLASSES).train(training)
        decibels = torch.rand(CLIPS, spec.n_mels, spec.frames)
        tracker = MemTracker()
        tracker.track_external(net)
        with tracker, torch.set_grad_enabled(training):
            with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
                logits = net(decibels)
            if training:
                logits.float().sum().backward()
        return tracker.get_tracker_snapshot("peak")[CPU]["Total"]


@pytest.mark.parametrize("model", sorted(MODELS))
def test_judging_takes_less_than_training_and_training_what_was_estimated(model, spec):
    judging = peak_bytes(model, spec, None, training=False)
    for dtype in (torch.bfloat16, None):
        training = peak_bytes(model, spec, dtype, training=True)
        assert judging < training
        estimate = step_bytes(build_model(model, spec, CLASSES), spec, CLIPS, dtype) - WORKSPACE_BYTES
        assert training < estimate < 1.4 * training


def test_a_device_is_never_filled_beyond_its_share():
    total, used_by_others, reserve = 12 * GB, 2 * GB, 3 * GB
    room = device_room(total - used_by_others, total, reserve)
    assert used_by_others + room + reserve == pytest.approx(memory_plan.DEVICE_SHARE * total)
    assert device_room(1 * GB, total, reserve) < 0
    assert choose_residence(1, on_device=device_room(1 * GB, total, reserve), on_host=1) == "host"


@pytest.fixture
def small_device(monkeypatch):
    """A CUDA device with that many free bytes of 100,000, whose clips lie in the machine's memory."""

    def make(free):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 100_000))
        make = torch.empty
        monkeypatch.setattr(batches.torch, "empty", lambda shape, *, dtype, device: make(shape, dtype=dtype))
        return torch.device("cuda", 0)

    return make


@pytest.mark.parametrize(
    ("free", "reserve", "kind"),
    [(100_000, 0, ResidentClips), (100_000, 70_000, HostClips), (30_000, 0, HostClips)],
)
def test_clips_are_resident_only_where_computing_has_room_besides(
    features, small_device, monkeypatch, free, reserve, kind
):
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *where, **more: self)
    rows = features.rows_of("train")
    assert len(rows) * features.spec.clip_bytes == 19_200
    clips = load_clips(features, rows, small_device(free), reserve=reserve)
    assert isinstance(clips, kind)


def test_clips_stay_on_the_host_when_another_program_was_faster(features, small_device, monkeypatch, caplog):
    real = batches._copied

    def short(features, rows, place):
        if place.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return real(features, rows, place)

    monkeypatch.setattr(batches, "_copied", short)
    rows, device = features.rows_of("train"), small_device(100_000)
    assert type(load_clips(features, rows, device)) is HostClips
    assert "another program took the memory of cuda:0" in caplog.text
    with pytest.raises(torch.OutOfMemoryError):
        load_clips(features, rows, device, residence="device")


def test_mapped_clips_on_a_slow_file_system_are_warned_of(features, monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "beatsight")
    rows = features.rows_of("train")
    load_clips(features, rows, CPU, residence="map")
    path = tmp_path / "shard"
    features.arrays[0].tofile(path)
    features.arrays[0] = np.memmap(path, np.float16, "r", shape=features.arrays[0].shape)
    load_clips(features, rows, CPU, residence="map")
    assert caplog.messages == []
    monkeypatch.setattr(batches, "slow_for_random_reads", lambda folder: "9p, a Windows drive" * (folder == tmp_path))
    assert isinstance(load_clips(features, rows, CPU, "clips", residence="map"), MappedClips)
    assert f"clips are read at random from {tmp_path}, which lies on 9p, a Windows drive" in caplog.text
    load_clips(features, rows, CPU)
    assert len(caplog.messages) == 1


def test_the_end_of_a_run_keeps_to_the_same_limits(attempt, monkeypatch):
    """Training clips are gone when the outcome is judged, in batches no larger than those of training."""
    seen, loaded, alive = [], [], []
    real_load, real_predict = outcome.load_clips, outcome.predict_clips

    def load_first(*arguments, **more):
        clips = real_load(*arguments, **more)
        loaded.append(weakref.ref(clips))
        return clips

    def load_last(*arguments, **more):
        alive.extend(clips() for clips in loaded)
        return real_load(*arguments, **more)

    def predict(net, clips, batch):
        seen.append((len(clips), batch))
        return real_predict(net, clips, batch)

    monkeypatch.setattr(fit_module, "load_clips", load_first)
    monkeypatch.setattr(outcome, "load_clips", load_last)
    monkeypatch.setattr(outcome, "predict_clips", predict)
    fit(attempt("run", epochs=1))
    assert seen == [(40, 16), (30, 16), (40, 16)]  # validation, calibration, all of val
    assert alive == [None] * 4  # training and validation clips, when calibration's are loaded and when val's are

"""Nothing in a training step waits for the device. On the CPU a step would not be slower for it, so operations tell."""

import dataclasses

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from beatsight_core.training.data.batches import load_clips
from beatsight_core.training.data.feeding import Feed
from beatsight_core.training.loop import Trainer
from beatsight_core.training.net.build_net import MODELS, build_model

WAITING = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "unique", "equal", "bincount",
           "repeat_interleave.Tensor")  # fmt: skip
"""Operations whose result, or its size, the host has to know: on CUDA it waits for everything before them."""


class NobodyWaits(TorchDispatchMode):
    """Raises at an operation that would make the host wait."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function).removeprefix("aten.").removesuffix(".default")
        indexed = name in ("index.Tensor", "index_put_") and any(
            part is not None and part.dtype in (torch.bool, torch.uint8) for part in args[1]
        )
        if name in WAITING or indexed:
            raise AssertionError(f"{name} makes the host wait for the device")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "waits", [lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: bool(x.any()), lambda x: x.nonzero()]
)
def test_the_guard_sees_what_waits(waits):
    with NobodyWaits(), pytest.raises(AssertionError, match="makes the host wait"):
        waits(torch.ones(3))


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("values", [{}, {"loss": "focal", "balance": "classes"}, {"loss": "asymmetric"}])
def test_no_step_waits(features, config, model, values):
    config = dataclasses.replace(config, model=model, positive_weight=0.5, augment_noise_probability=1.0, **values)
    clips = load_clips(features, features.rows_of("train"), torch.device("cpu"))
    net = build_model(model, features.spec, len(features.classes))
    trainer = Trainer(config, net, clips, features.spec.floor_db)
    trainer.model.train()
    steps = trainer._steps_left(torch.arange(len(clips)))
    with Feed(clips, (part for parts, _ in steps for part in parts)) as batches, NobodyWaits():
        for parts, count in steps:
            trainer._step(batches, len(parts), count)
            trainer.position.step += 1
    assert trainer._epoch_losses.clips == trainer.clips_per_epoch

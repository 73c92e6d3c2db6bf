"""A device with too little memory: a step is cut and goes on, judging takes fewer clips at a time and goes on."""

from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import DEFAULT, STILL, configured, losses_of, made_clips, made_trainer
from benchmarks.gpu.timing import GIB

SHARE = 0.6
"""Share of what a step, or judging, takes that it may have."""

LOSS_LIMIT, PROBABILITY_LIMIT = 0.02, 0.005


def shortage(context: Context) -> None:
    """Allow this process a part of the memory that it needs, and look at how it goes on."""
    from beatsight_core.training.machine.cuda import training_context

    with training_context(context.torch_device()):
        _step(context)
        _judging(context)


def _step(context: Context) -> None:
    device, config = context.torch_device(), configured(context, DEFAULT, **STILL)
    clips = made_clips(context, 6 * config.batch * config.accumulation)
    losses_of(made_trainer(context, config, clips), 1)  # cuDNN tries its kernels once, some with much memory
    with _Need(device) as need:
        expected = losses_of(made_trainer(context, config, clips), 1)
    with need.refused(SHARE):
        trainer = made_trainer(context, config, clips)
        found = losses_of(trainer, 1)
    context.say("step", allowed_gib=need.allowed_gib, needed_gib=need.gib, micro_batches=trainer.micro_batches)
    parts = trainer.micro_batches
    context.check("a step that does not fit is cut", parts > 1, value=parts, limit="more than 1")
    distance = abs(found[0] - expected[0]) / expected[0]
    context.check("its loss is that of the whole", distance <= LOSS_LIMIT, value=distance, limit=LOSS_LIMIT)


def _judging(context: Context) -> None:
    from beatsight_core.training.predicting import CUDA_EVAL_BATCH, predict_clips

    device, config = context.torch_device(), configured(context, DEFAULT)
    clips = made_clips(context, 8 * CUDA_EVAL_BATCH)
    net = made_trainer(context, config, clips).eval_model
    predict_clips(net, clips)
    with _Need(device) as need:
        expected = predict_clips(net, clips)
    with need.refused(SHARE):
        found = predict_clips(net, clips)  # it says in a warning how many clips it then takes at a time
    context.say("judging", allowed_gib=need.allowed_gib, needed_gib=need.gib)
    distance = float(abs(found - expected).max())
    what = "judging with too little memory gives the same"
    context.check(what, distance <= PROBABILITY_LIMIT, value=distance, limit=PROBABILITY_LIMIT)


class _Need:
    """What a block takes of a device's memory, and another block with a share of that.

    Attributes:
        gib: GiB that the block took beside what was there before.
        allowed_gib: GiB that the other block may take.
    """

    def __init__(self, device: Any):
        self._device, self.gib, self.allowed_gib = device, 0.0, 0.0

    def __enter__(self) -> "_Need":
        self._before = self._settled()
        return self

    def __exit__(self, *_: object) -> None:
        import torch

        self.gib = (torch.cuda.max_memory_reserved(self._device) - self._before) / GIB

    def refused(self, share: float) -> Any:
        """A block in which this process may take no more than a share of the need."""
        import contextlib

        import torch

        @contextlib.contextmanager
        def limited() -> Any:
            self.allowed_gib = share * self.gib
            allowed = self._settled() + self.allowed_gib * GIB
            total = torch.cuda.get_device_properties(self._device).total_memory
            torch.cuda.set_per_process_memory_fraction(allowed / total, self._device)
            try:
                yield
            finally:
                torch.cuda.set_per_process_memory_fraction(1.0, self._device)

        return limited()

    def _settled(self) -> int:
        """Bytes that torch has taken from the device, when it has given back what it does not use."""
        import gc

        import torch

        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)
        return int(torch.cuda.memory_reserved(self._device))

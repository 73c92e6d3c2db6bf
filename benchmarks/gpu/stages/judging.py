"""Judging: how fast, how much memory beside a training step, and what TF32 changes."""

import time
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import DEFAULT, SMALL, configured, made_arrays, made_clips, made_trainer, resident
from benchmarks.gpu.timing import Peak, synchronize

SIZES = (256, 512, 1024, 2048, 4096)
TF32_LIMIT = 0.005
"""Greatest distance of probabilities with TF32 to those of the CPU: gates tolerate twice as much."""


def judging(context: Context) -> None:
    """Predict at several sizes, beside the memory of a training step; compare probabilities with the CPU's."""
    import torch

    from beatsight_core.training import predicting
    from beatsight_core.training.machine.cuda import training_context

    default_size = predicting.CUDA_EVAL_BATCH
    with training_context(context.torch_device()):
        for model in (DEFAULT, SMALL):
            config = configured(context, model)
            clips = made_clips(context, 32 if context.tiny else 100_000)
            training = _peak_of_training(config, context)
            trainer = made_trainer(context, config, clips)
            peaks = {}
            for size in (16, default_size) if context.tiny else SIZES:
                predicting.CUDA_EVAL_BATCH = max(size, default_size)  # which no batch exceeds otherwise
                peaks[size] = _timed(context, trainer, model, size)
            predicting.CUDA_EVAL_BATCH = default_size
            _compare(context, model, peaks[default_size], training)
        del trainer, clips
        _tf32(context)
    if context.on_cuda:
        torch.cuda.empty_cache()


def _peak_of_training(config: Any, context: Context) -> Any:
    """GiB that a few training steps take beside the clips, once kernels are chosen."""
    clips = made_clips(context, 4 * config.batch * config.accumulation)
    made_trainer(context, config, clips).train_epoch(lambda _: None)
    with Peak(context.torch_device()) as peak:
        made_trainer(context, config, clips).train_epoch(lambda _: None)
    return peak.gib


def _timed(context: Context, trainer: Any, model: str, size: int) -> Any:
    """Predict once to warm up and once timed; GiB that it takes beside clips and net."""
    from beatsight_core.training.predicting import predict_clips

    predict_clips(trainer.eval_model, trainer.clips, size)
    with Peak(trainer.device) as peak:
        began = time.perf_counter()
        predict_clips(trainer.eval_model, trainer.clips, size)
        synchronize(trainer.device)
        seconds = time.perf_counter() - began
    context.say("predict", model=model, size=size, clips_s=round(len(trainer.clips) / seconds), peak_gib=peak.gib)
    return peak.gib


def _compare(context: Context, model: str, judging_gib: Any, training_gib: Any) -> None:
    context.say("memory", model=model, judging_gib=judging_gib, training_gib=training_gib)
    if judging_gib is not None:
        what = f"{model}: judging takes no more memory than training, GiB"
        context.check(what, judging_gib <= training_gib, value=judging_gib, limit=training_gib)


def _tf32(context: Context) -> None:
    """Compare probabilities of the device, with TF32 and without, with those of the CPU."""
    import copy

    import torch

    from beatsight_core.training.predicting import predict_clips

    arrays = made_arrays(context, 32 if context.tiny else 512, torch.device("cpu"))
    here, there = resident(context, *arrays), resident(context, *arrays, context.torch_device())
    net = made_trainer(context, configured(context, DEFAULT), there).eval_model
    expected = predict_clips(copy.deepcopy(net).cpu(), here)
    for allowed, limit in ((True, TF32_LIMIT), (False, TF32_LIMIT / 10)):
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=allowed):
            apart = float(abs(predict_clips(net, there) - expected).max())
        what = f"probabilities are the CPU's, {'with' if allowed else 'without'} TF32"
        context.check(what, apart <= limit, value=apart, limit=limit)

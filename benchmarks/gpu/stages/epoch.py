"""A whole epoch with its judging, over as many clips as production has."""

import time
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import (
    DEFAULT,
    PRODUCTION_CLIPS,
    SMALL,
    configured,
    made_arrays,
    made_clips,
    made_trainer,
    resident,
    spec_of,
)
from benchmarks.gpu.timing import GIB, Peak, profiled_epoch
from benchmarks.reference import CLASSES

JUDGED_SHARE = 0.1
STEPS = 50
WAITS_AT_THE_END = 2
"""For the loss of the epoch, and for whether one went wrong."""

LEAST_S = {DEFAULT: 0.0, SMALL: 30.0}
"""Seconds that must be left for a net: the first one is always tried."""


def epoch(context: Context) -> None:
    """Train an epoch of the default net, then of the small one, and judge each."""
    from beatsight_core.training.machine.cuda import training_context

    device = context.torch_device()
    with training_context(device):
        count = _count(context)
        stored, targets = made_arrays(context, count, device)
        for model, least_s in LEAST_S.items():
            if context.left_s < least_s:
                context.leave_out(model, f"{context.left_s:.0f} s are left, and it needs {least_s:.0f}")
            else:
                _epoch(context, model, stored, targets)


def _count(context: Context) -> int:
    """As many clips as production has, or as a third of the device's memory holds."""
    import torch

    if context.tiny:
        return 64
    if not context.on_cuda:
        return 20_000
    total = torch.cuda.mem_get_info(context.torch_device())[1]
    return min(PRODUCTION_CLIPS, total // (3 * spec_of(context).clip_bytes))


def _epoch(context: Context, model: str, stored: Any, targets: Any) -> None:
    """Warm up with a short epoch of the same batches, then train and judge a whole one."""
    config = configured(context, model)
    steps = 2 if context.tiny else STEPS
    short = made_trainer(context, config, made_clips(context, steps * config.batch * config.accumulation))
    short.train_epoch(lambda _: None)
    short.end_epoch(0.0)
    profile = profiled_epoch(context, short)
    judged = int(JUDGED_SHARE * len(stored))
    validation = resident(context, stored[:judged], targets[:judged])
    began = time.perf_counter()
    trainer = made_trainer(context, config, resident(context, stored, targets))
    prepared_s = time.perf_counter() - began
    with Peak(trainer.device) as peak:
        numbers, waits = _counted(trainer)
    busy_s = None if profile.busy_s is None else profile.busy_s / profile.steps * trainer.steps_per_epoch
    context.say(
        "epoch", model=model, batch=config.batch, clips=numbers.clips, training_s=numbers.seconds,
        **_judged(trainer, validation), prepared_s=prepared_s, clips_s=round(numbers.clips / numbers.seconds),
        waits=waits,
        idle_share=None if busy_s is None else max(0.0, 1.0 - busy_s / numbers.seconds), peak_gib=peak.gib,
        clips_gib=stored.numel() * stored.element_size() / GIB,
    )  # fmt: skip
    what = f"{model}: nothing waits for the device before the epoch's end"
    context.check(what, waits <= WAITS_AT_THE_END, value=waits, limit=WAITS_AT_THE_END)


def _counted(trainer: Any) -> tuple[Any, int]:
    """Train an epoch; its numbers, and how often the host waited for the device."""
    import warnings

    import torch

    on_cuda = trainer.device.type == "cuda"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if on_cuda:
            torch.cuda.set_sync_debug_mode("warn")
        try:
            numbers = trainer.train_epoch(lambda _: None)
        finally:
            if on_cuda:
                torch.cuda.set_sync_debug_mode("default")
    trainer.end_epoch(0.0)
    return numbers, sum("called a synchronizing" in str(each.message) for each in said)


def _judged(trainer: Any, validation: Any) -> dict[str, Any]:
    """Judge as the end of an epoch does; seconds of the net and of the metrics."""
    from beatsight_core.metrics import multilabel_metrics
    from beatsight_core.training.predicting import predict_clips
    from beatsight_core.training.thresholds import DEFAULT as THRESHOLD

    began = time.perf_counter()
    probabilities = predict_clips(trainer.eval_model, validation, trainer.largest_part)
    predicted = time.perf_counter()
    names = [f"class {number}" for number in range(CLASSES)]
    multilabel_metrics(probabilities, validation.targets.cpu().numpy(), THRESHOLD, names)
    ended = time.perf_counter()
    return {
        "judging_s": ended - began, "predicting_s": predicted - began, "metrics_s": ended - predicted,
        "judged": len(validation),
    }  # fmt: skip

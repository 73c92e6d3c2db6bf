"""A run shared by two processes: normalisation over the whole batch and sums of gradients give one process's result."""

import functools
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import SMALL, STILL, apart, configured, logits_of, made_arrays, made_trainer, resident

LOSS_LIMIT, LOGITS_LIMIT = 2e-3, 0.1
"""Greatest relative distances after a few steps. Sums of another order round otherwise, and Adam makes full steps of
gradients that are rounding noise, so the logits drift apart while the losses stay together."""


def processes(context: Context) -> None:
    """Train with two processes and with one; on two devices if there are two, else both on the same."""
    from beatsight_core.progress import SilentProgress
    from beatsight_core.training.parallel.distributed import share_run

    devices = _devices(context)
    config = configured(
        context, SMALL, batch=8 if context.tiny else 64, accumulation=1, amp="off", warmup_epochs=0.0, **STILL
    )
    epochs, steps = (1, 2) if context.tiny else (2, 6)
    work = functools.partial(_trained, context, config, devices, (steps * config.batch, epochs))
    together = share_run(2, work, SilentProgress(), on_cuda=devices > 1)
    alone = _alone(work)
    way = "NCCL, a device each" if devices > 1 else "gloo, one device" if context.on_cuda else "gloo, on the CPU"
    context.say("two processes", way=way, losses=together["losses"], losses_of_one=alone["losses"])
    distance = max(abs(two - one) / one for two, one in zip(together["losses"], alone["losses"], strict=True))
    context.check("losses are those of one process", distance <= LOSS_LIMIT, value=distance, limit=LOSS_LIMIT)
    distance = apart(together["logits"], alone["logits"])
    context.check("logits are those of one process", distance <= LOGITS_LIMIT, value=distance, limit=LOGITS_LIMIT)
    agree = together["same"]
    context.check("both processes hold the same weights", agree, value=agree, limit=True)


def _devices(context: Context) -> int:
    """How many CUDA devices there are; asking does not touch them."""
    import torch

    return torch.cuda.device_count() if context.on_cuda else 0


def _alone(work: Any) -> dict[str, Any]:
    from beatsight_core.progress import SilentProgress
    from beatsight_core.training.parallel.ranks import ALONE

    result: dict[str, Any] = work(ALONE, SilentProgress())
    return result


def _trained(
    context: Context, config: Any, devices: int, size: tuple[int, int], ranks: Any, progress: Any
) -> dict[str, Any]:
    """Train on so many clips for so many epochs as one of the processes."""
    import torch

    from beatsight_core.training.machine.cuda import training_context

    (count, epochs), device = size, context.torch_device()
    if devices > 1:
        device = torch.device("cuda", ranks.number)
    with training_context(device), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        clips = resident(context, *made_arrays(context, count, torch.device("cpu")), device)
        trainer = made_trainer(context, config, clips, ranks=ranks)
        losses = []
        for _ in range(epochs):
            losses.append(trainer.train_epoch(lambda _: None).train_loss)
            trainer.end_epoch(0.0)
        sums = [float(parameter.double().sum()) for parameter in trainer.model.parameters()]
        everybody = ranks.all_gather(sums)
        logits = logits_of(trainer.eval_model, clips, min(count, 64))
    return {"losses": losses, "logits": logits, "same": all(other == sums for other in everybody)}

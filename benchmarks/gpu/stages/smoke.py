"""Whether a device computes what the CPU computes: the same weights and data, the same few steps."""

from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.made import (
    DEFAULT,
    SMALL,
    STILL,
    apart,
    configured,
    logits_of,
    losses_of,
    made_arrays,
    made_trainer,
    resident,
)

EPOCHS = 3
LIMITS = {
    "off": {"logits before": 1e-4, "gradients": 2e-3, "losses": 2e-3, "logits after": 0.05},
    "bfloat16": {"logits before": 1e-4, "gradients": 0.3, "losses": 0.03, "logits after": 0.3},
}
"""Greatest relative distance to the CPU's values in float32. Adam makes full steps of gradients that are rounding
noise, so weights and logits drift apart while losses stay together."""


def smoke(context: Context) -> None:
    """Compare the device with the CPU for both nets, in float32 without TF32, and in bfloat16."""
    import torch

    from beatsight_core.training.machine.cuda import training_context

    device = context.torch_device()
    with training_context(device), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for model in (DEFAULT, SMALL):
            expected = _trained(context, model, torch.device("cpu"), "off")
            for amp, limits in LIMITS.items():
                found = _trained(context, model, device, amp)
                for name, limit in limits.items():
                    distance = apart(found[name], expected[name])
                    what = f"{model}, amp {amp}: {name}"
                    context.check(what, distance <= limit, value=distance, limit=limit)


def _trained(context: Context, model: str, device: Any, amp: str) -> dict[str, Any]:
    """Train a few steps; what there is to compare, on the CPU."""
    import torch

    size, steps = (8, 2) if context.tiny else (64, 4)
    config = configured(context, model, batch=size, accumulation=1, warmup_epochs=0.0, amp=amp, **STILL)
    clips = resident(context, *made_arrays(context, size * steps, torch.device("cpu")), device)
    trainer = made_trainer(context, config, clips)
    before = logits_of(trainer.eval_model, clips, size)
    gradients = _gradients(trainer, size)
    losses = torch.tensor(losses_of(trainer, 1 if context.tiny else EPOCHS))
    return {
        "logits before": before,
        "gradients": gradients,
        "losses": losses,
        "logits after": logits_of(trainer.eval_model, clips, size),
    }


def _gradients(trainer: Any, size: int) -> Any:
    """All gradients of a copy of the net on the first clips, as one vector."""
    import copy

    import torch

    net = copy.deepcopy(trainer.model).train()
    decibels, targets = trainer.clips.batch(trainer.clips.prepare_rows(torch.arange(size)))
    with trainer.autocast():
        logits = net(decibels)
    logits = logits.float()
    torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.expand_as(logits)).backward()
    found = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    return torch.cat([gradient.reshape(-1).float().cpu() for gradient in found])

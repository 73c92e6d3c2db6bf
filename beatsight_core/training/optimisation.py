"""Details of an optimizer's step: what decays, in which precision, and the moving average of weights."""

from typing import Any

import torch
from torch import nn

from beatsight_core.training.presets import TrainingConfig


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay is for matrices and kernels; biases and norms go without."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def amp_dtype(config: TrainingConfig, device: torch.device) -> torch.dtype | None:
    """The reduced precision of forward passes, where configuration and device have one.

    A processor has bfloat16 if it multiplies it in hardware; there a net trains twice as fast. Half precision on a CPU
    would need the loss scaled and gains nothing.
    """
    if device.type == "cuda":
        kinds = {"auto": torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16}
        return {"bfloat16": torch.bfloat16, "float16": torch.float16, **kinds}.get(config.amp)
    fast = config.amp == "auto" and cpu_has_bfloat16()
    return torch.bfloat16 if fast or config.amp == "bfloat16" else None


def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def unused_scaler(scaler: torch.amp.GradScaler, device: torch.device) -> torch.amp.GradScaler:
    """The same scale and growth, without a memory of the step under way, which may have failed once unscaled."""
    state = scaler.state_dict()
    made = torch.amp.GradScaler(device.type, enabled=scaler.is_enabled())
    if state:
        made.load_state_dict(state)
    return made


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move an average of weights towards the net's by a share of 1 - decay; its statistics are the net's."""
    ours: list[torch.Tensor] = list(average.parameters())
    theirs: list[torch.Tensor] = list(model.parameters())
    torch._foreach_lerp_(ours, theirs, 1.0 - decay)
    for mine, other in zip(average.buffers(), model.buffers(), strict=True):
        mine.copy_(other)

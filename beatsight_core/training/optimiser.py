"""The optimizers, and the details of a step: what decays, in which precision, and the moving average of weights.

To add an optimizer, add a line to `OPTIMIZERS` here and its name to `runs.presets.Optimizer`. The contract test in
`tests/core/training/test_optimiser.py` then tries it.
"""

from collections.abc import Callable, Iterable
from typing import TypedDict

import torch
from torch import nn

from beatsight_core.errors import DeviceError
from beatsight_core.runs.presets import TrainingConfig


class ParameterGroup(TypedDict):
    """Parameters of a net that an optimizer treats alike.

    Attributes:
        params: Parameters of the group.
        weight_decay: Weight decay of the group.
    """

    params: list[nn.Parameter]
    weight_decay: float


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimizer that a configuration names.

    Args:
        model: Net to train.
        config: Configuration with `optimizer` and its values.
    """
    return OPTIMIZERS[config.optimizer](decay_groups(model, config.weight_decay), config)


def _adamw(groups: list[ParameterGroup], config: TrainingConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW([{**group} for group in groups], lr=config.lr, fused=True)


OPTIMIZERS: dict[str, Callable[[list[ParameterGroup], TrainingConfig], torch.optim.Optimizer]] = {"adamw": _adamw}
"""Optimizers by the names that `runs.presets.OPTIMIZERS` lists."""


def decay_groups(model: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """Return a net's parameters in two groups: matrices and kernels decay, biases and norms do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def amp_dtype(config: TrainingConfig, device: torch.device) -> torch.dtype | None:
    """Return the reduced precision of forward passes, or None for float32.

    A processor has bfloat16 if it multiplies it in hardware; there a net trains twice as fast. Half precision on a CPU
    would need the loss scaled and gains nothing. A CUDA device before Ampere (compute capability 8.0) only emulates
    bfloat16: torch counts it as supported, but convolutions fail or are ten times slower. Such a device gets float16.

    Args:
        config: Configuration with `amp`.
        device: Device of the forward passes.

    Raises:
        DeviceError: bfloat16 was asked for by name on a CUDA device that only emulates it.
    """
    if device.type != "cuda":
        fast = config.amp == "auto" and cpu_has_bfloat16()
        return torch.bfloat16 if fast or config.amp == "bfloat16" else None
    if config.amp == "off":
        return None
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    if config.amp == "bfloat16" and not native:
        raise DeviceError(
            f"{torch.cuda.get_device_name(device)} has no bfloat16, which amp = bfloat16 asks for",
            why="it only emulates it, and convolutions are then missing or very slow",
            do="use --set amp=float16, or amp=auto, which chooses what the device has",
        )
    return torch.bfloat16 if native and config.amp != "float16" else torch.float16


def cpu_has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 itself."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def unused_scaler(scaler: torch.amp.GradScaler, device: torch.device) -> torch.amp.GradScaler:
    """Return a scaler of the same scale and growth, without a memory of the step under way, which may have failed."""
    state = scaler.state_dict()
    made = torch.amp.GradScaler(device.type, enabled=scaler.is_enabled())
    if state:
        made.load_state_dict(state)
    return made


class MovingAverage:
    """A moving average of a net's weights; its statistics (buffers) are the net's own.

    Both nets' tensors are listed once: walking through the modules took longer, at every step, than the arithmetic.

    Args:
        average: Net that holds the average.
        model: Net in training, of the same architecture. Neither may exchange its tensors for others.
    """

    def __init__(self, average: nn.Module, model: nn.Module):
        self.average = average
        self._weights: tuple[list[torch.Tensor], list[torch.Tensor]]
        self._weights = list(average.parameters()), list(model.parameters())
        self._buffers = _by_dtype(zip(average.buffers(), model.buffers(), strict=True))

    @torch.no_grad()
    def move(self, decay: float) -> None:
        """Move the average towards the net's weights by a share of 1 - decay."""
        torch._foreach_lerp_(*self._weights, 1.0 - decay)
        for mine, others in self._buffers:
            torch._foreach_copy_(mine, others)


def _by_dtype(
    pairs: Iterable[tuple[torch.Tensor, torch.Tensor]],
) -> list[tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """Return pairs of tensors in one group per type, because one operation for many tensors wants them of one type."""
    groups: dict[torch.dtype, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
    for mine, other in pairs:
        first, second = groups.setdefault(mine.dtype, ([], []))
        first.append(mine)
        second.append(other)
    return list(groups.values())

"""Batch norm over the whole batch when several processes share it: normalised as if one process had all of it.

On CUDA this is torch's `SyncBatchNorm`. That one refuses the CPU, so there the same is done here: mean and variance
from sums over all processes, which gradients flow back through.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn


class WholeBatchNorm(nn.SyncBatchNorm):
    """`SyncBatchNorm` that works on the CPU too. Weights, buffers and their names are those of `BatchNorm2d`."""

    momentum: float
    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalised pictures, (batch, channels, height, width) as given."""
        if input.device.type != "cpu" or not self.training:
            return super().forward(input)
        over = [0, *range(2, input.dim())]
        shape = [1, -1] + [1] * (input.dim() - 2)
        values = torch.full((1,), float(input.numel() // input.shape[1]))
        dist.all_reduce(values)
        mean = _sum_of_all(input.sum(over)) / values
        centred = input - mean.view(shape)
        variance = _sum_of_all(centred.square().sum(over)) / values
        self._observe(mean.detach(), variance.detach() * values / (values - 1.0))
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _observe(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Move the running statistics, the variance being the unbiased one, as `BatchNorm2d` does."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def normalise_whole_batches(model: nn.Module) -> None:
    """Exchange every `BatchNorm2d` in a net for one that sees the whole batch; weights and their names stay."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _converted(child))


def _converted(norm: nn.BatchNorm2d) -> WholeBatchNorm:
    whole = WholeBatchNorm(norm.num_features, norm.eps, norm.momentum, device=norm.weight.device)
    whole.load_state_dict(norm.state_dict())
    return whole.train(norm.training)


class _SumOfAll(torch.autograd.Function):
    """A sum over processes: every process's result depends on every one's input, so gradients are summed too."""

    @staticmethod
    def forward(_: Any, mine: torch.Tensor) -> torch.Tensor:
        whole = mine.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        whole = gradient.clone()
        dist.all_reduce(whole)
        return whole


def _sum_of_all(mine: torch.Tensor) -> torch.Tensor:
    whole: torch.Tensor = _SumOfAll.apply(mine)  # type: ignore[no-untyped-call]
    return whole

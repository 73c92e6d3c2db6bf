"""Batch norm over the whole batch when several processes share it: normalised as if one process had all of it.

Every process sums up its own clips; one `all_reduce` joins the sums, and gradients flow back through it. That is the
same arithmetic on every device, and no host waits for a device in it. torch's own `SyncBatchNorm` refuses the CPU, and
on CUDA it looks on the host which processes had no clips, which stops the host three times a layer; here every process
has some (`Trainer` refuses batches that are too small to share).
"""

import torch
import torch.distributed as dist
from torch import nn
from torch.autograd.function import FunctionCtx


class WholeBatchNorm(nn.BatchNorm2d):
    """`BatchNorm2d` whose statistics in training are those of all processes. Names in its state dict are the same."""

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor
    momentum: float

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise spectrograms or channels, (batch, channels, height, width); the result has the input's type."""
        if not self.training:
            return super().forward(input)
        values = input.float()  # with reduced precision the sums must not lose what the convolution has kept
        variance, mean = torch.var_mean(values, (0, 2, 3), correction=0)
        mean, variance, count = _of_all(mean, variance, input.numel() // input.shape[1])
        self._observe(mean.detach(), (variance * count / (count - 1.0)).detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return torch.addcmul(_per_channel(shift), values, _per_channel(scale)).to(input.dtype)

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


def _of_all(mean: torch.Tensor, variance: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Join the statistics of all processes: mean and variance (channels,) over everything, and the number of values.

    The sums are of float64, a few hundred numbers: then nothing is lost where a mean is large beside its deviation.
    """
    mean, variance = mean.double(), variance.double()
    number = mean.new_full((1,), float(count))
    mine = torch.cat([number, count * mean, count * (variance + mean.square())])
    total, sums, squares = _SumOfAll.apply(mine).split([1, len(mean), len(mean)])  # type: ignore[no-untyped-call]
    joint = sums / total
    spread = (squares / total - joint.square()).clamp_min(0.0)
    return joint.float(), spread.float(), total.float()


def _per_channel(values: torch.Tensor) -> torch.Tensor:
    return values[None, :, None, None]


class _SumOfAll(torch.autograd.Function):
    """A sum over processes: every process's result depends on every one's input, so gradients are summed too."""

    @staticmethod
    def forward(_: FunctionCtx, mine: torch.Tensor) -> torch.Tensor:
        whole = mine.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(_: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        whole = gradient.clone()
        dist.all_reduce(whole)
        return whole

"""The processes that carry one run together, seen from one of them: its share of a batch, and what all must agree on.

Each takes its share of every batch, gradients are summed over all, and so all hold the same weights at every step. The
net is small (a few MB of gradients), so one sum after the backward pass costs less than it would to overlap the two;
and a sum, unlike the mean that torch's wrapper takes, is exact for shares of unequal size.

What concerns the host (objects, decisions) goes between hosts and never waits for a device.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

Value = TypeVar("Value")


class Ranks:
    """One process of `count` that carry a run together. Alone by default; then all of this costs nothing.

    Args:
        number: Which one, from 0; the first alone writes files, logs and tracks.
        count: How many there are. With more than one, torch's process group has been joined.
        hosts: Process group for what concerns the host, which waits for hours where the other waits for minutes; None
            for the same group.
    """

    def __init__(self, number: int = 0, count: int = 1, hosts: dist.ProcessGroup | None = None):
        self.number, self.count, self._hosts = number, count, hosts

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.number == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    def share(self, rows: torch.Tensor) -> torch.Tensor:
        """What this process takes of a batch's rows; parts differ by one row at most."""
        return rows if self.alone else rows.tensor_split(self.count)[self.number]

    def agree(self, wish: int) -> int:
        """The greatest wish of all processes, each of which must ask."""
        if self.alone:
            return wish
        wishes = torch.tensor(wish)
        dist.all_reduce(wishes, dist.ReduceOp.MAX, group=self._hosts)
        return int(wishes)

    def meet(self) -> None:
        """Go on when all processes are here."""
        self.agree(0)

    def told(self, value: Value) -> Value:
        """What the first process has, in all of them."""
        if self.alone:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self._hosts)
        return values[0]

    def gather(self, value: Value) -> list[Value]:
        """What each process has, in their order, in all of them."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value, group=self._hosts)
        return values

    def total(self, number: torch.Tensor) -> torch.Tensor:
        """The sum over all processes."""
        if self.alone:
            return number
        number = number.clone()
        dist.all_reduce(number)
        return number

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every process the sum of all gradients."""
        if self.alone:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view(g.shape) for part, g in zip(parts, gradients, strict=True)])

    @torch.no_grad()
    def same_start(self, model: nn.Module) -> None:
        """Give every process the first one's weights and buffers."""
        if not self.alone:
            for tensor in model.state_dict().values():
                dist.broadcast(tensor, src=0)


ALONE = Ranks()

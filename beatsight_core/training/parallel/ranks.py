"""The processes that share one run, seen from one of them: its share of a batch, and what all must have in common.

Each takes its share of every batch, gradients are summed over all, and so all hold the same weights at every step. The
net is small (a few MB of gradients), so one sum after the backward pass costs less than it would to overlap the two;
and a sum, unlike the mean that torch's wrapper takes, is exact for shares of unequal size.

What concerns the host (objects, decisions) goes between hosts and never waits for a device.
"""

from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

Value = TypeVar("Value")


class Ranks:
    """One process of those that share a run. Alone by default; then all of this costs nothing.

    Args:
        number: Number of this process, from 0; the first alone writes files, logs and tracks.
        count: Number of processes. With more than one, torch's process group has been joined.
        hosts: Process group for what concerns the host, which waits for hours where the other waits for minutes; None
            for the same group.
    """

    def __init__(self, number: int = 0, count: int = 1, hosts: dist.ProcessGroup | None = None):
        self.number, self.count, self._hosts = number, count, hosts

    @property
    def first(self) -> bool:
        """Return whether this is the process that writes."""
        return self.number == 0

    @property
    def alone(self) -> bool:
        """Return whether there is no other process."""
        return self.count == 1

    def share(self, rows: torch.Tensor) -> torch.Tensor:
        """Return this process's share of a batch's rows; shares differ by one row at most."""
        return rows if self.alone else rows.tensor_split(self.count)[self.number]

    def all_reduce_max(self, value: int) -> int:
        """Return the greatest value of all processes, each of which must call this."""
        if self.alone:
            return value
        values = torch.tensor(value)
        dist.all_reduce(values, dist.ReduceOp.MAX, group=self._hosts)
        return int(values)

    def barrier(self) -> None:
        """Wait until all processes have come here."""
        self.all_reduce_max(0)

    def broadcast(self, value: Value) -> Value:
        """Return the first process's value, in all of them."""
        if self.alone:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self._hosts)
        return values[0]

    def all_gather(self, value: Value) -> list[Value]:
        """Return the value of each process, in their order, in all of them."""
        if self.alone:
            return [value]
        values: list[Value] = [value] * self.count
        dist.all_gather_object(values, value, group=self._hosts)
        return values

    def all_reduce_sum(self, number: torch.Tensor) -> torch.Tensor:
        """Return the sum over all processes."""
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

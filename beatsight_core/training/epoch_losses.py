"""The losses of an epoch, summed up where they arise, and a watch over them that keeps nobody waiting.

On CUDA the first bad step is remembered on the device. Now and then that number is sent to the host, which looks at it
when it has come, and waits for it only where it has to know: at the end of an epoch and before a checkpoint.
"""

import torch

from beatsight_core.errors import TrainingError

DIVERGED_LOSS = 10.0
"""A mean cross-entropy per component above this (chance is 0.69) has diverged."""

CUDA_LOOK_STEPS = 50
"""Steps between looks at a CUDA device; on the CPU every step is looked at."""


class EpochLosses:
    """Losses of one epoch and the first step at which one went wrong.

    Args:
        device: Device of the losses.

    Attributes:
        clips: Number of clips whose losses are in.
    """

    def __init__(self, device: torch.device):
        self.clips, self._epoch = 0, 0
        self._sum = torch.zeros((), dtype=torch.float64, device=device)
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        self._sent = torch.full((), -1, dtype=torch.int64, pin_memory=device.type == "cuda")
        self._arrival: torch.cuda.Event | None = None
        if device.type == "cuda":
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]

    @property
    def sum(self) -> torch.Tensor:
        """The sum of loss times clips, (), float64, on the device."""
        return self._sum

    def begin(self, epoch: int, loss_sum: float = 0.0, clips: int = 0) -> None:
        """Start an epoch (0-based), or go on with one."""
        self._sum.fill_(loss_sum)
        self.clips, self._epoch = clips, epoch

    def add(self, losses: list[tuple[torch.Tensor, int]], clips: int, step: int) -> None:
        """Take in a step.

        Args:
            losses: Mean losses of its micro-batches, as tensors that need no gradient, and the number of clips of each.
            clips: Number of clips of the step in all processes.
            step: Number of the step, 0-based, over the whole run.
        """
        for loss, count in losses:
            self._sum += loss * count
            self._bad_step.masked_fill_(~(loss <= DIVERGED_LOSS) & (self._bad_step < 0), step)
        self.clips += clips

    def look(self, step: int) -> None:
        """Raise if it is known that a loss went wrong; on CUDA without waiting for what is still under way.

        Args:
            step: Number of steps done.

        Raises:
            TrainingError: Names the first step of a bad loss.
        """
        if self._arrival is None:
            self.check()
        elif step % CUDA_LOOK_STEPS == 0 and self._arrival.query():  # type: ignore[no-untyped-call]
            self._raise_if_bad(int(self._sent))
            self._sent.copy_(self._bad_step, non_blocking=True)
            self._arrival.record(torch.cuda.current_stream(self._sum.device))

    def check(self) -> None:
        """Wait for the device and raise if a loss went wrong since the start.

        Raises:
            TrainingError: Names the first step of a bad loss.
        """
        self._raise_if_bad(int(self._bad_step.item()))

    def _raise_if_bad(self, step: int) -> None:
        if step >= 0:
            raise TrainingError(
                f"Training diverged at step {step + 1} (epoch {self._epoch + 1}): the loss was infinite, not a number, "
                f"or above {DIVERGED_LOSS:g}",
                do="lower the learning rate (--set lr=...) or look at the data of that epoch; this is another run",
            )

"""The errors for a device that has too little memory."""

from typing import TYPE_CHECKING

from beatsight_core.errors import TrainingError

if TYPE_CHECKING:
    import torch


class MemoryShortError(TrainingError):
    """A device has too little memory for a step, in one of several processes: all must take smaller parts."""


def too_little_memory(device: "torch.device", why: str, kind: type[TrainingError] = TrainingError) -> TrainingError:
    """Return the error for a device that runs out of memory.

    Args:
        device: Device that ran out.
        why: Message of torch.
        kind: Class of the error.
    """
    return kind(
        f"Device {device} has too little memory",
        why=why.split(". ", 1)[0],
        do="use a smaller batch with more accumulation (--set batch=..., accumulation=...), or --set residence=host",
    )

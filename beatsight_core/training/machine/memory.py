"""What is said when a device has too little memory."""

from beatsight_core.errors import TrainingError


class MemoryShortError(TrainingError):
    """A device has too little memory for a step, in one of several processes: all must take smaller parts."""


def too_little_memory(device: object, why: str, kind: type[TrainingError] = TrainingError) -> TrainingError:
    """The error for a device that runs out of memory.

    Args:
        device: Which.
        why: What torch said.
        kind: Class of the error.
    """
    return kind(
        f"Device {device} has too little memory",
        why=why.split(". ", 1)[0],
        do="use a smaller batch with more accumulation (--set batch=..., accumulation=...), or --set residence=host",
    )

"""The memory that training needs beside its clips, and the memory of a device or machine that the clips may take.

Memory is planned before clips are made resident, because running out of it is no safety net everywhere: under WSL a
device that is nearly full moves memory to the host and becomes slow, instead of raising an error.
"""

import psutil
import torch
from torch import nn

from beatsight_core.features.spec import FeatureSpec

DEVICE_SHARE = 0.85
"""Share of a CUDA device's memory that is filled at most, by everybody together."""

HOST_SHARE = 0.8
"""Share of the machine's available memory that clips may take."""

PEAK_OVER_SAVED = 1.25
"""Peak of a training step over what its forward pass saves for the backward pass. Counted on the three nets: 1.02 to
1.04; the rest is for the augmentation and for the blocks that an allocator rounds up."""

WORKSPACE_BYTES = 512 * 2**20
"""For what CUDA's libraries allocate themselves: handles, kernels, and the workspaces of convolutions."""

_FEW, _MORE = 2, 4


def step_bytes(model: nn.Module, spec: FeatureSpec, clips: int, dtype: torch.dtype | None) -> int:
    """Estimate the memory of a training step beside the clips that lie on the device, in bytes.

    What the forward pass saves grows linearly with the batch, so it is counted on the CPU with two small batches.
    Validation of as many clips at a time needs less than that (a test holds this for every net).

    Args:
        model: Net on the CPU; its running statistics are changed.
        spec: Recipe of its spectrograms.
        clips: Number of clips of the largest forward pass.
        dtype: Reduced precision of forward passes; None for float32.
    """
    few, more = (_saved_bytes(model, spec, count, dtype) for count in (_FEW, _MORE))
    each = (more - few) / (_MORE - _FEW)
    # Weights, gradients, two moments of the optimizer and the moving average.
    weights: int = 5 * sum(value.numel() * value.element_size() for value in model.state_dict().values())
    return int(PEAK_OVER_SAVED * each * clips) + weights + WORKSPACE_BYTES


def _saved_bytes(model: nn.Module, spec: FeatureSpec, clips: int, dtype: torch.dtype | None) -> int:
    """Return the bytes that autograd keeps after a forward pass, each storage counted once."""
    kept: dict[int, torch.Tensor] = {}  # the tensors themselves, so that no address is used twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    spectrograms = torch.full((clips, spec.n_mels, spec.frames), spec.floor_db)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None),
    ):
        output = model.train()(spectrograms)
    del output
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def device_room(free: float, total: float, reserve: float) -> float:
    """Return the bytes of a CUDA device that clips may take.

    Args:
        free: Bytes that are free now.
        total: Bytes of the device.
        reserve: Bytes that training needs beside the clips.
    """
    return free - (1.0 - DEVICE_SHARE) * total - reserve


def host_room(sharers: int = 1) -> float:
    """Return the bytes of the machine's memory that the clips of one of `sharers` processes may take."""
    return HOST_SHARE * float(psutil.virtual_memory().available) / sharers


def peak_bytes(device: torch.device) -> int | None:
    """Return the most memory that torch held on a device since the last call, in bytes; None on the CPU."""
    if device.type != "cuda":
        return None
    peak = int(torch.cuda.max_memory_reserved(device))
    torch.cuda.reset_peak_memory_stats(device)
    return peak

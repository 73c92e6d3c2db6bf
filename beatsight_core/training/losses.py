"""What training minimises."""

import torch
from torch.nn import functional


def multilabel_loss(logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Mean binary cross-entropy per component, unweighted.

    Args:
        logits: (batch, classes).
        targets: (batch, classes) of 0 and 1, float.
        smoothing: Targets are drawn this far towards one half.
    """
    if smoothing:
        targets = targets * (1.0 - smoothing) + 0.5 * smoothing
    return functional.binary_cross_entropy_with_logits(logits.float(), targets)

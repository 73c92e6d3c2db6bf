"""The loss that training minimises: a cross-entropy per component, weighted as the configuration says.

Conventions: a target is 1 (struck) or 0 (not struck).
"""

import torch
from torch import nn
from torch.nn import functional

from beatsight_core.runs.presets import TrainingConfig

LARGEST_POSITIVE_WEIGHT = 20.0
ASYMMETRIC_MARGIN = 0.05


class MultilabelLoss(nn.Module):
    """Mean loss per component.

    "cross_entropy" is binary cross-entropy. "focal" weighs it by how wrong the answer is, to the power `loss_gamma`
    (Lin et al. 2017). "asymmetric" does so only for components that were not struck, and forgets those whose
    probability is below a margin (Ridnik et al. 2021).

    Args:
        config: Configuration with the name of the loss and its values.
        share: Share of the clips in which each component is struck, (classes,); for `positive_weight`.
    """

    weight: torch.Tensor

    def __init__(self, config: TrainingConfig, share: torch.Tensor):
        super().__init__()
        self._kind, self._gamma, self._smoothing = config.loss, config.loss_gamma, config.label_smoothing
        odds = (1.0 - share) / share.clamp_min(1e-6)
        self.register_buffer("weight", odds.pow(config.positive_weight).clamp(max=LARGEST_POSITIVE_WEIGHT))

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss, (), of logits (batch, classes) or (answers, batch, classes) and targets (batch, classes)."""
        logits = logits.float()
        targets = targets.expand_as(logits)
        wanted = targets * (1.0 - self._smoothing) + 0.5 * self._smoothing
        if self._kind == "asymmetric":
            each = _asymmetric(logits, wanted, self.weight, self._gamma)
        else:
            each = functional.binary_cross_entropy_with_logits(logits, wanted, pos_weight=self.weight, reduction="none")
            if self._kind == "focal":
                each = each * (torch.sigmoid(logits) - targets).abs().pow(self._gamma)
        return each.mean()


def component_share(targets: torch.Tensor) -> torch.Tensor:
    """Return the share of targets (N, classes) in which each component is struck, (classes,); a little below 1."""
    struck = torch.stack([column.sum(dtype=torch.int64) for column in targets.T]) / max(len(targets), 1)
    return struck.float().clamp_max(1.0 - 1e-6)


def _asymmetric(logits: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return positives as in cross-entropy; the others by their probability beyond the margin, to the power gamma."""
    beyond = (torch.sigmoid(logits) - ASYMMETRIC_MARGIN).clamp_min(0.0)
    not_struck = -beyond.pow(gamma) * torch.log1p(-beyond)
    return -weight * wanted * functional.logsigmoid(logits) + (1.0 - wanted) * not_struck

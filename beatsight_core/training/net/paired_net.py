"""The default net: two that hear different things, and answer together.

`OnsetNet` hears what begins at the onset and is sure of it; `DrumNet` hears the whole window and ranks better what
is rare. On a kit that neither has heard they are wrong about different hits, so a mean of their logits is right more
often than each (docs/model.md). That holds only while each learns by itself: trained through their mean, one would
learn what the other leaves. So in training the net answers twice, and each answer has its own loss.
"""

import torch
from torch import nn

from beatsight_core.training.net.drum_net import DrumNet
from beatsight_core.training.net.onset_net import OnsetNet

ONSET_SHARE = 0.6
"""Weight of the surer one's logits in the mean."""


class PairedNet(nn.Module):
    """An `OnsetNet` and a `DrumNet` side by side.

    Args:
        n_mels: Number of bands of a spectrogram.
        frames: Number of frames of a spectrogram.
        onset_frame: Frame that is centred nearest to the onset.
        n_classes: Number of components.
        dropout: Share of features dropped before the last layer of each.
    """

    def __init__(self, n_mels: int, frames: int, onset_frame: int, n_classes: int, dropout: float = 0.3):
        super().__init__()
        self.onset = OnsetNet(n_mels, frames, onset_frame, n_classes, dropout)
        self.whole = DrumNet(n_mels, frames, n_classes, dropout)

    def set_statistics(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Take the training hits' statistics, (n_mels,) each, in decibels."""
        self.whole.set_statistics(mean, deviation)

    def forward(self, decibels: torch.Tensor) -> torch.Tensor:
        """Return logits of decibels (batch, n_mels, frames): (2, batch, n_classes) in training, else a mean."""
        onset, whole = self.onset(decibels), self.whole(decibels)
        return torch.stack([onset, whole]) if self.training else torch.lerp(whole, onset, ONSET_SHARE)

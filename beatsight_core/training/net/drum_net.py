"""The small net, by which others are measured: it looks at the whole spectrogram, and averages over it."""

import torch
from torch import nn

CHANNELS = (32, 64, 128, 256)


class BandNormalisation(nn.Module):
    """A layer that returns each band minus its mean over the training hits, over its standard deviation.

    Args:
        n_mels: Number of bands.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, n_mels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("scale", torch.ones(n_mels))

    def set_statistics(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Take the statistics, (n_mels,) each, in decibels."""
        self.mean.copy_(mean)
        self.scale.copy_(deviation.reciprocal())

    def forward(self, decibels: torch.Tensor) -> torch.Tensor:
        """Return normalised decibels, shape as given."""
        return (decibels - self.mean[:, None]) * self.scale[:, None]


class DrumNet(nn.Module):
    """Four blocks of 3x3 convolution, batch norm, ReLU and pooling by two; global average; dropout; one linear layer.

    Args:
        n_mels: Number of bands of a spectrogram.
        frames: Number of frames of a spectrogram.
        n_classes: Number of components.
        dropout: Share of channels dropped before the last layer.
        channels: Number of channels of each block.
    """

    def __init__(
        self, n_mels: int, frames: int, n_classes: int, dropout: float = 0.3, channels: tuple[int, ...] = CHANNELS
    ):
        super().__init__()
        self.normalisation = BandNormalisation(n_mels)
        self.blocks = nn.Sequential()
        height, width, width_in = n_mels, frames, 1
        for width_out in channels:
            pool = (min(2, height), min(2, width))  # a spectrogram already one frame wide stays so
            self.blocks.append(_block(width_in, width_out, pool))
            height, width, width_in = height // pool[0], width // pool[1], width_out
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width_in, n_classes)

    def set_statistics(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Take the training hits' statistics, (n_mels,) each, in decibels."""
        self.normalisation.set_statistics(mean, deviation)

    def forward(self, decibels: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, n_classes) of decibels (batch, n_mels, frames)."""
        spectrograms = self.normalisation(decibels).unsqueeze(1)
        channels = self.blocks(spectrograms).mean(dim=(2, 3))
        logits: torch.Tensor = self.classifier(self.dropout(channels))
        return logits


def _block(width_in: int, width_out: int, pool: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(width_out),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(pool),
    )

"""The net that hears what begins at the onset: levels count from there, and so does what was sounding before.

Real playing is dense. In a window of 280 ms the loudest stroke is often the next one, and what rang before still rings.
A net that averages over the window must guess which of these is meant. This one is told: its first spectrogram has
levels relative to the loudest point of the onset, its second what rose there above the moment before, and its last
layer weighs each moment by its position.
"""

import torch
from torch import nn
from torch.nn import functional

BEFORE_FRAMES, AFTER_FRAMES = 5, 13
"""Frames before the onset's and after it that are looked at; what lies further off belongs to other strokes."""

ROWS = 32
"""Rows of the spectrogram after the first layer, whatever the number of bands."""

WIDTH = 32
TIME_WEIGHTS = 2


class OnsetFront(nn.Module):
    """Decibels (batch, n_mels, frames) -> two spectrograms (batch, 2, n_mels, kept frames) of a range near 1.

    The first is the level relative to the loudest point of the onset's four frames, so neither the recording's level
    nor a louder neighbour shows. The second is how far each point rose above the mean of the three frames before.

    Args:
        frames: Number of frames of a spectrogram.
        onset_frame: Frame that is centred nearest to the onset.
    """

    def __init__(self, frames: int, onset_frame: int):
        super().__init__()
        first = max(0, onset_frame - BEFORE_FRAMES)
        self._kept = slice(first, min(frames, onset_frame + AFTER_FRAMES + 1))
        onset = onset_frame - first
        self.frames = self._kept.stop - first
        self._at_onset = slice(max(0, onset - 1), onset + 3)
        self._before = slice(max(0, onset - 4), max(1, onset - 1))

    def forward(self, decibels: torch.Tensor) -> torch.Tensor:
        """Return the two spectrograms."""
        decibels = decibels[:, :, self._kept]
        loudest = decibels[:, :, self._at_onset].amax(dim=(1, 2), keepdim=True)
        level = (decibels - loudest).clamp(-60.0, 12.0) / 20.0 + 1.0
        before = decibels[:, :, self._before].mean(dim=2, keepdim=True)
        rise = (decibels - torch.maximum(before, loudest - 70.0)).clamp(-6.0, 40.0) / 12.0
        return torch.stack([level, rise], dim=1)


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut, then pooling (He et al. 2016).

    Args:
        width_in: Number of channels of the input.
        width_out: Number of channels of the output.
        pool: Number of rows and of frames that become one.
    """

    def __init__(self, width_in: int, width_out: int, pool: tuple[int, int]):
        super().__init__()
        self.first = _convolution(width_in, width_out)
        self.second = _convolution(width_out, width_out)
        same = width_in == width_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(width_in, width_out, 1, bias=False)
        self.pool = nn.MaxPool2d(pool)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        """Return channels (batch, width_out, rows, frames), the last two divided by `pool`."""
        inner = self.second(functional.relu(self.first(spectrograms)))
        pooled: torch.Tensor = self.pool(functional.relu(inner + self.shortcut(spectrograms)))
        return pooled


class OnsetNet(nn.Module):
    """Four residual blocks over the two spectrograms, rows kept apart to the end, moments weighed by their position.

    Args:
        n_mels: Number of bands of a spectrogram.
        frames: Number of frames of a spectrogram.
        onset_frame: Frame that is centred nearest to the onset.
        n_classes: Number of components.
        dropout: Share of features dropped before the last layer.
    """

    def __init__(self, n_mels: int, frames: int, onset_frame: int, n_classes: int, dropout: float = 0.3):
        super().__init__()
        self.front = OnsetFront(frames, onset_frame)
        stride = max(1, n_mels // ROWS)
        self.stem = _convolution(2, WIDTH, (2 * (stride // 2) + 1 if stride > 1 else 3, 3), (stride, 1))
        height, width, width_in = -(-n_mels // stride), self.front.frames, WIDTH
        self.blocks = nn.Sequential()
        for width_out, wanted in ((WIDTH, (2, 1)), (2 * WIDTH, (2, 2)), (4 * WIDTH, (2, 2)), (4 * WIDTH, (1, 1))):
            pool = (min(wanted[0], height), min(wanted[1], width))
            self.blocks.append(Residual(width_in, width_out, pool))
            height, width, width_in = height // pool[0], width // pool[1], width_out
        self.narrow = _convolution(width_in, 2 * WIDTH, (1, 1))
        self.moments = nn.Parameter(torch.zeros(TIME_WEIGHTS, width))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(2 * WIDTH * height * TIME_WEIGHTS, n_classes)

    def set_statistics(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Do nothing: levels count from the onset, in fixed units, so that no corpus shows in them."""

    def forward(self, decibels: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, n_classes) of decibels (batch, n_mels, frames)."""
        spectrograms = functional.relu(self.stem(self.front(decibels)))
        rows = functional.relu(self.narrow(self.blocks(spectrograms)))  # (batch, channels, rows, frames)
        weights = torch.softmax(3.0 * self.moments, dim=1).to(rows.dtype)
        weighed = torch.einsum("bcrt,kt->bcrk", rows, weights).flatten(1)
        logits: torch.Tensor = self.classifier(self.dropout(weighed))
        return logits


def _convolution(
    width_in: int, width_out: int, kernel: tuple[int, int] = (3, 3), stride: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(nn.Conv2d(width_in, width_out, kernel, stride, padding, bias=False), nn.BatchNorm2d(width_out))

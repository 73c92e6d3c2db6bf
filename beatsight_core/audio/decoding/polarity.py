"""Channels that cancel each other: the mean of a recording whose channels have opposite polarity is silence, or nearly.

A cable soldered the wrong way round does it, and so do some stereo wideners. Who listens hears a loud drum; who takes
the mean hears nothing.
"""

from dataclasses import dataclass

import numpy as np

from beatsight_core.audio.decoding.frames import Frames
from beatsight_core.audio.decoding.resample import Samples16, SamplesFloat

CANCELLED = 'its channels cancel each other (opposite polarity); channel = "left" of its source set hears one'

LEFT_OVER = 1e-3
"""Least power of the mean beside that of channels that have nothing to do with each other: 30 dB less is no chance."""


@dataclass(slots=True)
class Polarity:
    """A comparison of the power of the mean with that of the channels, over a whole file."""

    _mean: float = 0.0
    _unrelated: float = 0.0

    def hear(self, frames: Frames, mono: Samples16 | SamplesFloat) -> None:
        """Take in a block and the mean of its channels."""
        if frames.ndim == 1:
            return
        power = float(np.einsum("ij,ij->", frames, frames, dtype=np.float64, casting="safe"))
        self._unrelated += power / frames.shape[1] ** 2
        self._mean += float(np.einsum("i,i->", mono, mono, dtype=np.float64, casting="safe"))

    @property
    def notice(self) -> str:
        """The notice about the file; empty if its channels do not cancel each other."""
        return CANCELLED if self._mean < LEFT_OVER * self._unrelated else ""

"""The interface between a classifier and its backends, `torch_backend` and `onnx_backend`: probabilities of clips."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from beatsight_core.runs.lookup import ModelInfo

Probabilities = NDArray[np.float32]

Adaptation = Callable[[Probabilities], Probabilities]
"""Given the probabilities (n, C) of all clips of one recording, what they become, in the same shape.

The place for what can be learned of a recording without labels, such as its own share of each class. What must look
into the net, such as statistics of its layers, belongs into a backend: `Backend.probabilities` is called once per
recording, with all of its clips.
"""


class Clips(Protocol):
    """Clips at the spec's rate, cut when they are asked for; an array (n, samples) is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.int16]:
        """(m, samples) of a part."""


class Backend(Protocol):
    """A model that gives probabilities for clips."""

    @property
    def info(self) -> ModelInfo:
        """The meaning of its answers."""

    def probabilities(self, clips: Clips) -> Probabilities:
        """Return the probabilities (n, C) of clips that belong together, in their order."""

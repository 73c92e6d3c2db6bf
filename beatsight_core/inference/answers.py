"""What a model says about some clips, as arrays, and in words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beatsight_core.metrics import said_components


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Probabilities of n clips, and what they mean.

    Attributes:
        classes: Components in class order.
        thresholds: (C,) a component is said from here on.
        probabilities: (n, C) in 0..1.
    """

    classes: tuple[str, ...]
    thresholds: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def said(self) -> NDArray[np.bool_]:
        """(n, C) whether each component is said."""
        return said_components(self.probabilities, self.thresholds)

    @property
    def components(self) -> list[tuple[str, ...]]:
        """The components said of each clip, in class order; of some clips none."""
        said: list[list[int]] = [[] for _ in range(len(self))]
        for clip, column in np.argwhere(self.said).tolist():
            said[clip].append(column)
        return [tuple(self.classes[column] for column in columns) for columns in said]

"""The answers of a model for some clips, as arrays and in words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beatsight_core.metrics import predicted_components


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The probabilities of n clips, and the components that they mean.

    Attributes:
        classes: Components in class order.
        thresholds: Array (C,) of the probabilities from which on a component is predicted.
        probabilities: Array (n, C) of probabilities in 0..1.
    """

    classes: tuple[str, ...]
    thresholds: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """True (n, C) where a component is predicted."""
        return predicted_components(self.probabilities, self.thresholds)

    @property
    def components(self) -> list[tuple[str, ...]]:
        """The components predicted for each clip, in class order; none for some clips."""
        columns_of: list[list[int]] = [[] for _ in range(len(self))]
        for clip, column in np.argwhere(self.predicted).tolist():
            columns_of[clip].append(column)
        return [tuple(self.classes[column] for column in columns) for columns in columns_of]

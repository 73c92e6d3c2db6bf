"""Weights by which an epoch draws its clips: by session, or by the rarity of what is struck."""

import numpy as np
import numpy.typing as npt

from beatsight_core.features.cache import Features
from beatsight_core.manifest.catalog import open_catalog
from beatsight_core.manifest.sampling import read_sampling
from beatsight_core.settings import Settings

LARGEST_WEIGHT = 10.0
"""A clip of the rarest component is drawn at most this much more often than one of the commonest."""


def draw_weights(settings: Settings, key: str, features: Features, balance: str) -> npt.NDArray[np.float64] | None:
    """Return the weights of the training clips, parallel to `features.rows_of("train")`; None if each is taken once.

    Args:
        settings: Settings with the sampling profile.
        key: Key of the manifest.
        features: Features of its dataset.
        balance: Way of weighing: "none", "sessions" or "classes", as in the training configuration.

    Raises:
        DatasetError: The manifest's catalog is not there, and sessions are to be weighed.
    """
    rows = features.rows_of("train")
    if balance == "sessions":
        sampling = read_sampling(settings, open_catalog(settings, key))
        return sampling.hit_weights(features.meta[rows])
    return class_weights(features.targets[rows]) if balance == "classes" else None


def class_weights(targets: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return one over the root of how often a clip's rarest component is struck, from 1 up to `LARGEST_WEIGHT`.

    The root goes half the way to equal shares, as the sampling profile's exponent does for sessions.

    Args:
        targets: Targets (N, classes) of 0 and 1.

    Returns:
        (N,): 1 for clips of the commonest component, and for those without any.
    """
    struck = targets.sum(axis=0, dtype=np.int64)
    rarity = np.sqrt(max(int(struck.max(initial=0)), 1) / np.maximum(struck, 1)).clip(max=LARGEST_WEIGHT)
    weights: npt.NDArray[np.float64] = (targets * rarity).max(axis=1, initial=1.0)
    return weights

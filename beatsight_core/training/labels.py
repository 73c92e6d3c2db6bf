"""What training clips say of each component: struck, not struck, or nothing at all.

A source set that never labels a component does not say that it was never played: its kit may lack it, or its annotators
did not mark it. A net that is told "not struck" learns to tell the source sets apart by their sound and to never name
the component in those.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from beatsight_core.features.cache import Features
from beatsight_core.training.losses import UNKNOWN


def training_targets(features: Features, rows: npt.NDArray[np.int64], unlabelled: str) -> npt.NDArray[Any]:
    """Targets of the rows named.

    Args:
        features: The cache.
        rows: Rows of it, (N,), the training hits.
        unlabelled: "absent": 0 and 1, as labelled. "ignore": `UNKNOWN` for components that none of these hits of the
            same source set has.

    Returns:
        (N, classes): uint8, or float16 if some are unknown.
    """
    targets = features.targets[rows]
    if unlabelled == "absent":
        return targets
    known = np.ones(targets.shape, dtype=np.bool_)
    sources = features.meta["source_set"].gather(rows).to_numpy()
    for source in np.unique(sources):
        of_source = sources == source
        known[of_source] = targets[of_source].any(axis=0)
    return np.where(known, targets, UNKNOWN).astype(np.float16)

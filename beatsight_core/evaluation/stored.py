"""Predictions that an earlier evaluation left: a model is not asked twice about a hit.

An evaluation of a whole split answers for every part of it, and one of a run for the version that came of it. Only
rivals are looked up so: a run that is judged is always asked itself.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beatsight_core.evaluation.finding import METRICS
from beatsight_core.evaluation.folder import PREDICTIONS
from beatsight_core.evaluation.predictions import Predictions, load_predictions
from beatsight_core.features.cache import Features
from beatsight_core.files import read_json, sha256_file
from beatsight_core.settings import Settings


def stored_predictions(
    settings: Settings, run_id: str, answers: Mapping[str, str], features: Features, rows: NDArray[np.int64]
) -> Predictions | None:
    """Return the predictions of a model for rows of the cache, if an evaluation of it on the same dataset has them.

    Args:
        settings: Settings that say where evaluations lie.
        run_id: Id of the run that the model is or came of.
        answers: Digests of what determines its answers: `checkpoint` and `thresholds`.
        features: Cache of features.
        rows: Rows asked about.

    Returns:
        Predictions in the order of `rows`. None if no whole evaluation has all of them.
    """
    wanted = {**answers, "dataset": features.dataset_digest}
    for path in sorted((settings.metrics_dir / run_id).glob(f"*/{METRICS}")):
        digests = read_json(path).get("digests", {})
        file = path.with_name(PREDICTIONS)
        if not wanted.items() <= digests.items() or not file.is_file():
            continue
        if sha256_file(file) != digests.get("predictions"):
            continue
        found = _of_rows(load_predictions(file), features, rows)
        if found is not None:
            return found
    return None


def _of_rows(stored: Predictions, features: Features, rows: NDArray[np.int64]) -> Predictions | None:
    wanted = pl.DataFrame({"hit_id": features.meta["hit_id"].gather(rows)})
    places = wanted.join(
        stored.hits.select("hit_id").with_row_index("place"), on="hit_id", how="left", maintain_order="left"
    )["place"]
    return None if places.null_count() else stored.part(places.to_numpy().astype(np.intp), stored.classes)

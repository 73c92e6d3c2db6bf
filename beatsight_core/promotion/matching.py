"""Is an evaluation this candidate's? By its digests, and by asking the checkpoint again about hits drawn at random.

Digests say what an evaluation claims to be of. A file that was altered together with all digests that name it would
pass them, so everything that can be made again is: the labels, the thresholds, the figures, and the answers to some
hits that no record names and nobody can foresee.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beatsight_core.evaluation.evaluate import PREDICTIONS, current_digests, read_evaluation
from beatsight_core.evaluation.evaluation_content import Evaluation
from beatsight_core.evaluation.predictions import Predictions, load_predictions
from beatsight_core.evaluation.slices import chosen_rows
from beatsight_core.features.cache import Features
from beatsight_core.files import sha256_file
from beatsight_core.gates.gate import DetailRow
from beatsight_core.metrics import Metrics
from beatsight_core.runs.records import Run
from beatsight_core.safe_text import for_shell

SLICE = 0.3
"""Of the validation hits; evaluated again before a promotion."""
SPOT_CHECK_HITS = 512
"""A hundredth of the answers altered is then found 994 times in a thousand, a fiftieth always."""
SPOT_CHECK_TOLERANCE = 0.02
"""Evaluations may be made on another device, with shorter mantissas, than the check; other weights differ by more."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation as it lies on disk.

    Attributes:
        folder: Folder of the evaluation.
        content: Content of its `metrics.json`.
        predictions: Predictions that the figures were made of.
        digest: SHA-256 of the file of predictions.
    """

    folder: Path
    content: Evaluation
    predictions: Predictions
    digest: str

    @cached_property
    def metrics(self) -> Metrics:
        """Figures of the predictions, made again."""
        return self.predictions.metrics()

    @classmethod
    def read(cls, folder: Path) -> "Evaluated":
        """Read the evaluation of a folder.

        Raises:
            DatasetError: A file is missing or broken.
        """
        path = folder / PREDICTIONS
        return cls(folder, read_evaluation(folder), load_predictions(path), sha256_file(path))


def mismatches(trained: Run, features: Features, whole: Evaluated, part: Evaluated) -> list[str]:
    """Return sentences on what in the two evaluations does not belong to the candidate as it is now.

    Args:
        trained: Run of the candidate.
        features: Features of its dataset, as they are now.
        whole: Evaluation on its whole validation split.
        part: Evaluation on the 0.3 slice of it.
    """
    found = not_of_candidate(trained, features, whole, "the evaluation", None)
    found += not_of_candidate(trained, features, part, "the slice's evaluation", SLICE)
    if features.dataset_digest != trained.dataset_digest:
        found.append("the dataset on disk is another than the run learned from")
    if not found:
        found += _answers(trained, features, whole.predictions, part.predictions)
    return [f"{sentence} (beatsight evaluate {for_shell(trained.run_id)})" for sentence in found]


def compared_digests(trained: Run, features: Features, content: Evaluation) -> list[DetailRow]:
    """Return what an evaluation says that it is of, beside what is there now; for a table."""
    then = content.digests
    return [
        {"of": name, "now": digest[:12], "evaluated": str(then.get(name))[:12], "same": digest == then.get(name)}
        for name, digest in current_digests(trained, features).items()
    ]


def are_of_val(predictions: Predictions, features: Features) -> bool:
    """Return whether predictions are of the validation hits of the cache, in its order."""
    return _are_of(predictions, features, features.rows_of("val"))


def not_of_candidate(
    trained: Run, features: Features, evaluation: Evaluated, name: str, fraction: float | None
) -> list[str]:
    """Return sentences on what in one evaluation is not the run's as it is now, without asking the checkpoint.

    Args:
        trained: Run that was evaluated.
        features: Features of its dataset.
        evaluation: Evaluation as it lies on disk.
        name: Name of the evaluation for the sentences.
        fraction: Share of the validation hits that it must be of; None for all.
    """
    content, predictions = evaluation.content, evaluation.predictions
    now, then = current_digests(trained, features), content.digests
    found = [f"{name} is of another {part}" for part in now if then.get(part) != now[part]]
    if (content.on, content.split, content.fraction) != (trained.key, "val", fraction):
        found.append(f"{name} is of other hits than the validation split's")
    if then.get("predictions") != evaluation.digest:
        found.append("its predictions were altered")
    if found:
        return found
    rows = chosen_rows(features, "val", fraction)
    if not _are_of(predictions, features, rows):
        return [f"{name} is of other hits than the validation split's"]
    if not np.array_equal(predictions.targets, features.targets[rows]):
        found.append(f"{name} holds other labels than the dataset")
    own = trained.thresholds.astype(np.float32)
    if predictions.classes != trained.classes or not np.array_equal(predictions.thresholds, own):
        found.append(f"{name} holds other components or thresholds than the run")
    if content.metrics != evaluation.metrics:
        found.append(f"the figures of {name} are not those of its predictions")
    return found


def _answers(trained: Run, features: Features, whole: Predictions, part: Predictions) -> list[str]:
    rows = features.rows_of("val")
    places = np.searchsorted(rows, chosen_rows(features, "val", SLICE))
    if _differ(whole.probabilities[places], part.probabilities):
        return ["evaluated again, the slice gives other answers than the evaluation holds"]
    from beatsight_core.evaluation.predict import Predictor

    drawn = np.random.default_rng().permutation(len(rows))[:SPOT_CHECK_HITS]
    drawn.sort()
    again = Predictor.load(trained, "cpu").predict(features.read(rows[drawn]))
    if _differ(again, whole.probabilities[drawn]):
        return ["the checkpoint gives other answers than the evaluation holds"]
    return []


def _differ(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return bool(np.abs(one - other).max(initial=0.0) > SPOT_CHECK_TOLERANCE)


def _are_of(predictions: Predictions, features: Features, rows: NDArray[np.int64]) -> bool:
    return features.meta["hit_id"].gather(rows).to_list() == predictions.hits["hit_id"].to_list()

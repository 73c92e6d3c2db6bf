"""Predictions of a model on a set of hits, kept beside its evaluation: numbers can be made again and compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beatsight_core.errors import DatasetError
from beatsight_core.files import atomic_path
from beatsight_core.metrics import Metrics, multilabel_metrics, predicted_components
from beatsight_core.taxonomy import MIN_POSITIVES

FORMAT = 1

STORED = ("hit_id", "session_id", "source_set")
"""Columns of `hits` that are written; what else is known of a hit can be had from the dataset."""

_MATRICES = ("probabilities", "targets")
_ABOUT = b"beatsight.predictions"


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's probabilities for N hits and C components, with the reference.

    Attributes:
        classes: Labels in class order, C of them.
        thresholds: Probability from which a component is predicted, (C,) float32.
        hits: Table of N rows: at least hit_id, session_id, source_set.
        probabilities: Probabilities, (N, C) float32.
        targets: Reference, (N, C) uint8 of 0 and 1.
    """

    classes: tuple[str, ...]
    thresholds: NDArray[np.float32]
    hits: pl.DataFrame
    probabilities: NDArray[np.float32]
    targets: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """(N, C) which components are predicted."""
        return predicted_components(self.probabilities, self.thresholds)

    @property
    def reference(self) -> NDArray[np.bool_]:
        """(N, C) which components the labels name."""
        return self.targets.astype(bool)

    def metrics(self, min_positives: int = MIN_POSITIVES) -> Metrics:
        """Return all metrics of these predictions: `metrics.multilabel_metrics`."""
        return multilabel_metrics(self.probabilities, self.targets, self.thresholds, self.classes, min_positives)

    def part(self, rows: NDArray[np.intp], classes: Sequence[str]) -> "Predictions":
        """Return the predictions of some hits, for some components, in the order given."""
        columns = [self.classes.index(label) for label in classes]
        return Predictions(
            classes=tuple(classes),
            thresholds=self.thresholds[columns],
            hits=self.hits[rows],
            probabilities=self.probabilities[rows][:, columns],
            targets=self.targets[rows][:, columns],
        )

    def save(self, path: Path) -> None:
        """Write as Parquet, atomically: the columns of `STORED` and both matrices as fixed-size lists."""
        width = len(self.classes)
        table = self.hits.select(STORED).to_arrow()
        for name in _MATRICES:
            flat = pa.array(np.ascontiguousarray(getattr(self, name)).ravel())
            table = table.append_column(name, pa.FixedSizeListArray.from_arrays(flat, width))
        about = {"format": FORMAT, "classes": self.classes, "thresholds": [float(value) for value in self.thresholds]}
        with atomic_path(path) as temporary:
            pq.write_table(table.replace_schema_metadata({_ABOUT: orjson.dumps(about)}), temporary, compression="zstd")


def load_predictions(path: Path) -> Predictions:
    """Read what `Predictions.save` wrote.

    Raises:
        DatasetError: The file is missing, broken, or of another format.
    """
    do = "evaluate the run again"
    try:
        table = pq.read_table(path)
        about = orjson.loads(table.schema.metadata[_ABOUT])
    except FileNotFoundError as error:
        raise DatasetError("The predictions are missing", where=path, do=do) from error
    except (pa.ArrowException, OSError, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise DatasetError("The predictions cannot be read", where=path, why=str(error), do=do) from error
    if about["format"] != FORMAT:
        raise DatasetError(f"These predictions are of format {about['format']}, not {FORMAT}", where=path, do=do)
    width = len(about["classes"])
    probabilities, targets = (
        table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width) for name in _MATRICES
    )
    hits = pl.from_arrow(table.select(list(STORED)))
    assert isinstance(hits, pl.DataFrame)  # a table never becomes a Series; this tells the type checker so
    return Predictions(
        classes=tuple(about["classes"]),
        thresholds=np.array(about["thresholds"], dtype=np.float32),
        hits=hits,
        probabilities=probabilities,
        targets=targets,
    )

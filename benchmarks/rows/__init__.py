"""The rows of the table, one file each: what is measured, how, and what it is compared with."""

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.figures import Figure
from benchmarks.rows import (
    catalog,
    ear,
    evaluation,
    export,
    features,
    gpu,
    health,
    loader,
    overhead,
    reexport,
    release,
    train,
)

ROWS: dict[str, Callable[[Bench], list[Figure]]] = {
    "catalog": catalog.measure,
    "health": health.measure,
    "export": export.measure,
    "reexport": reexport.measure,
    "features": features.measure,
    "loader": loader.measure,
    "train": train.measure,
    "gpu": gpu.measure,
    "ear": ear.measure,
    "evaluation": evaluation.measure,
    "release": release.measure,
    "overhead": overhead.measure,
}
"""Name for `ONLY=` -> what measures it, in the order of the table."""

WITHOUT_CORPUS = frozenset({"gpu"})
"""Rows that do without the corpus of the others."""

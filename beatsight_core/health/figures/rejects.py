"""The lines that were refused: how many, why, and some of them to look at."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.files import storage_errors
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.manifest.refused import refused_figures

LISTED = 50
_BLOCK = 1 << 20


def rejects(catalog: Catalog, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of `rejected.jsonl`.

    Args:
        catalog: Has the file.
        summary: The catalog's own figures.

    Returns:
        What `refused_figures` gives, `lines` (counted in the file itself) and `examples`, the first of them.
    """
    path = catalog.rejected_path
    figures = refused_figures(summary, path)
    with storage_errors(path):
        if not path.exists():
            return {**figures, "lines": 0, "examples": []}
        with path.open("rb") as handle:
            examples = [orjson.loads(line) for line in itertools.islice(handle, LISTED) if line.strip()]
        return {**figures, "lines": _count_lines(path), "examples": examples}


def _count_lines(path: Path) -> int:
    with path.open("rb") as handle:
        return sum(block.count(b"\n") for block in iter(lambda: handle.read(_BLOCK), b""))

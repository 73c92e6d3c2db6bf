"""The lines that were refused: how many, why, and some of them to look at."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import orjson

from beatsight_core.files import storage_errors
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.manifest.refused import RefusedLines, refused_figures
from beatsight_core.typed_json import from_json

LISTED = 50
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line of a manifest that was refused, as `rejected.jsonl` lists it.

    Attributes:
        line: Number of the line, from 1.
        offset: Byte of the file at which it begins.
        reason: Code of the reason.
        message: Sentence that says what is wrong with it.
    """

    line: int
    offset: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RejectFigures(RefusedLines):
    """Figures of the lines that were refused.

    Attributes:
        lines: Lines of `rejected.jsonl`, counted in the file itself.
        examples: First lines of that file.
    """

    lines: int
    examples: tuple[RefusedLine, ...]


def reject_figures(catalog: Catalog) -> RejectFigures:
    """Return the figures of a catalog's `rejected.jsonl`."""
    path = catalog.rejected_path
    refused = refused_figures(catalog.summary.to_json(), path)
    lines, examples = 0, []
    with storage_errors(path):
        if path.exists():
            with path.open("rb") as handle:
                examples = [orjson.loads(line) for line in itertools.islice(handle, LISTED) if line.strip()]
            lines = _count_lines(path)
    return RejectFigures(
        read=refused.read,
        rejected=refused.rejected,
        by_reason=refused.by_reason,
        first=refused.first,
        path=refused.path,
        lines=lines,
        examples=tuple(from_json(RefusedLine, row, path) for row in examples),
    )


def _count_lines(path: Path) -> int:
    with path.open("rb") as handle:
        return sum(block.count(b"\n") for block in iter(lambda: handle.read(_BLOCK), b""))

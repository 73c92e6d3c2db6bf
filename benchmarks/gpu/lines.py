"""The lines of a run, read back."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a run; of one that was killed in the middle of a write, all but the last."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def findings(lines: Iterable[Line], stage: str, **values: Any) -> list[Line]:
    """Return the findings of a stage that have these values."""
    return [
        line
        for line in lines
        if line["kind"] == "finding"
        and line["stage"] == stage
        and all(line.get(name) == value for name, value in values.items())
    ]


def finding(lines: Iterable[Line], stage: str, **values: Any) -> Line | None:
    """Return the first finding of a stage that has these values, if there is one."""
    return next(iter(findings(lines, stage, **values)), None)


def first(lines: Iterable[Line], kind: str) -> Line | None:
    """Return the first line of a kind, if there is one."""
    return next((line for line in lines if line["kind"] == kind), None)

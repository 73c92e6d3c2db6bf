"""A candidate's report against the blessed baseline: no class may shrink by more than its limit, no gate newly fail.

The baseline is a health report that a person judged good, kept as `baseline.json` in the folder of health reports.
`approve.py` puts it there; one that was copied there by hand is compared with, too, if it is whole.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from beatsight_core.errors import DatasetError
from beatsight_core.files import read_json
from beatsight_core.gates.corpus_limits import Profile
from beatsight_core.gates.gate import Gate, at_most
from beatsight_core.gates.seal import is_sealed
from beatsight_core.pages.formats import shown

BASELINE_FILE = "baseline.json"
_BLESS = "bless a report that you judge good (beatsight health bless MANIFEST), or remove the file"
FORMAT = "beatsight.health/2"
"""Stands in every report; a report of another format is not compared with."""


def read_baseline(folder: Path) -> dict[str, Any] | None:
    """The blessed report of a folder, or None where none was blessed.

    Raises:
        DatasetError: The file is there and is not a health report of this format, or was edited.
    """
    path = folder / BASELINE_FILE
    return read_report(path, "health baseline", _BLESS) if path.exists() else None


def read_report(path: Path, what: str, do: str) -> dict[str, Any]:
    """A health report of this format, as it was sealed.

    Args:
        path: Its file.
        what: What it is called in messages.
        do: What helps if it cannot be used.

    Raises:
        DatasetError: There is none, it is of another format, or it was edited since.
    """
    if not path.is_file():
        raise DatasetError(f"There is no {what}", where=path, do=do)
    report = read_json(path)
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        why = f"its format is not {FORMAT}"
        raise DatasetError(f"The {what} is not a report of this version", where=path, why=why, do=do)
    if not is_sealed(report):
        why = "its seal is missing or does not match"
        raise DatasetError(f"The {what} was changed since it was judged", where=path, why=why, do=do)
    return report


def class_changes(statistics: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Hits of every class then and now.

    Args:
        statistics: Of the candidate.
        baseline: A whole report.

    Returns:
        `label`, `before`, `after`, `change` (a share of what was; None for a class that is new), in class order, then
        classes that are gone.
    """
    now = {label: counts["hits"] for label, counts in statistics["hits"]["classes"].items()}
    then = {label: counts["hits"] for label, counts in baseline["statistics"]["hits"]["classes"].items()}
    labels = [*now, *(label for label in then if label not in now)]
    return [_change(label, then.get(label, 0), now.get(label, 0)) for label in labels]


def baseline_gates(
    changes: Sequence[Mapping[str, Any]], gates: Sequence[Gate], baseline: Mapping[str, Any], limits: Profile
) -> list[Gate]:
    """The classes and the gates against those of a baseline.

    Args:
        changes: As `class_changes` gives them.
        gates: All other gates of the candidate.
        baseline: A whole report.
        limits: Of the candidate's gates.
    """
    drops = {change["label"]: -change["change"] for change in changes if (change["change"] or 0) < 0}
    worst = max(drops, key=drops.__getitem__, default="")
    fell = [label for label, drop in drops.items() if drop > limits.max_class_drop]
    failed_before = {gate["name"] for gate in baseline["gates"] if not gate["passed"]}
    new = [gate.name for gate in gates if not gate.passed and gate.name not in failed_before]
    return [
        at_most(
            "largest drop of a class since the baseline", "baseline", drops.get(worst, 0.0),
            limits.max_class_drop, format="share", setting="gates.max_class_drop",
            found=_drop_text(worst, drops, fell) if drops else "No class lost hits",
            do="find out which sessions left the manifest, or bless a new baseline",
        ),
        at_most(
            "gates that newly fail", "baseline", len(new), 0,
            found=f"Passed before: {', '.join(new)}" if new else "No gate fails that passed in the baseline",
            do="mend those, or bless a new baseline",
        ),
    ]  # fmt: skip


def _drop_text(worst: str, drops: Mapping[str, float], fell: Sequence[str]) -> str:
    """The class that lost most, with its figure, before the others beyond the limit."""
    others = [f"{label} {shown(drops[label], 'share')}" for label in fell if label != worst]
    more = f"; beyond the limit are also {', '.join(others)}" if others else ""
    return f"{worst} lost {shown(drops[worst], 'share')}{more}"


def _change(label: str, before: int, after: int) -> dict[str, Any]:
    change = (after - before) / before if before else None
    return {"label": label, "before": before, "after": after, "change": change}

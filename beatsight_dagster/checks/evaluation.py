"""Checks of `evaluation_report`."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from beatsight_dagster.checks.specs import check_result, manifest_check

AGREES = manifest_check(
    "evaluation_report", "agrees_with_run", "On all of val, the evaluation finds the accuracy that training measured."
)
SPECS = [AGREES]

TOLERANCE = 0.002
"""Another batch size or device rounds a few probabilities to the other side of their threshold."""


def results(result: Mapping[str, Any], trained: Mapping[str, Any], *, same_hits: bool) -> list[dg.AssetCheckResult]:
    """Compare an evaluation with the run's own metrics.

    Args:
        result: Result of the evaluation.
        trained: Metrics of the run on val.
        same_hits: True if both are of the same hits; if not, there is nothing to compare.
    """
    if not same_hits:
        return [check_result(AGREES.name, True, "Evaluated on other hits than training did; not compared")]
    found, known = result["metrics"]["accuracy"], trained["accuracy"]
    if found is None or known is None:
        where = "here" if found is None else "in the run"
        return [
            check_result(AGREES.name, found is known, f"accuracy is undefined {where}: nothing struck, nothing said")
        ]
    gap = abs(found - known)
    said = f"accuracy {found:.4f} here, {known:.4f} in the run"
    return [check_result(AGREES.name, gap <= TOLERANCE, said, {"gap": gap, "tolerance": TOLERANCE})]

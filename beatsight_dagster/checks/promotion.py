"""Checks of `promoted_model`: the promotion criteria, each its own, and whether the version is fit for use.

All block: a refused model is not materialized.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from beatsight_core.promotion.criteria import ALL, CRITERIA, UNFORCEABLE
from beatsight_dagster.checks.specs import gates_result, manifest_check
from beatsight_dagster.metadata import table

FITNESS = manifest_check(
    "promoted_model",
    "fit_for_use",
    "The version's own files, in a fresh process: every form loads, the self-test agrees, latency and size are within "
    "limits. Asked last, of what met the criteria or is forced; no reason helps against it.",
)
SPECS = [*(manifest_check("promoted_model", criterion.name, criterion.text) for criterion in ALL), FITNESS]


def results(judgement: Mapping[str, Any], *, forced: str | None = None) -> list[dg.AssetCheckResult]:
    """Return one check for each criterion: its figures, and a table of what they were made of.

    Args:
        judgement: Judgement, of which `criteria` is read.
        forced: Reason for promoting all the same; failed criteria are then warnings and hold nothing back, but for
            those that no reason lets pass.
    """
    by_name = {row["name"]: row for row in judgement["criteria"]}
    found = [_result(name, by_name[name]) for name in CRITERIA]
    return [
        result._replace(severity=dg.AssetCheckSeverity.WARN)
        if forced and result.check_name not in UNFORCEABLE
        else result
        for result in found
    ]


def fitness(rows: Iterable[Mapping[str, Any]]) -> dg.AssetCheckResult:
    """Return the check of a version's files.

    Args:
        rows: Gates that `infrastructure.CHECKS` names, as JSON; none for a version that was made before there were any.
    """
    return gates_result(FITNESS.name, rows, none="It is champion already, made before this was asked")


def _result(name: str, row: Mapping[str, Any]) -> dg.AssetCheckResult:
    judged = gates_result(name, [row])
    return judged._replace(metadata={**(judged.metadata or {}), "made of": table(row["details"])})

"""Check specs of partitioned assets, and check results from the gates that core judges by."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from beatsight_core.gates.gate import written_rows
from beatsight_core.safe_text import for_terminal
from beatsight_dagster.checks.told import FAILED_GATES, gate_line
from beatsight_dagster.metadata import gates_table, numbers, picture
from beatsight_dagster.partitions import MANIFEST_SOURCES, MANIFESTS
from beatsight_dagster.previews import accepted_previews


def manifest_check(asset: str, name: str, description: str, *, blocking: bool = True) -> dg.AssetCheckSpec:
    """Return the spec of a check of an asset that is partitioned by manifest."""
    with accepted_previews():
        return dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=blocking, partitions_def=MANIFESTS
        )


def source_check(asset: str, name: str, description: str, *, blocking: bool = True) -> dg.AssetCheckSpec:
    """Return the spec of a check of an asset that is partitioned by manifest and source set."""
    with accepted_previews():
        return dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=blocking, partitions_def=MANIFEST_SOURCES
        )


def check_result(
    name: str, passed: bool, description: str, metadata: Mapping[str, Any] | None = None
) -> dg.AssetCheckResult:
    """Return the result of one check."""
    said = for_terminal(description, lines=True)
    return dg.AssetCheckResult(check_name=name, passed=bool(passed), description=said, metadata=metadata or {})


def pictured(result: dg.AssetCheckResult, gates: Iterable[Mapping[str, Any]], title: str) -> dg.AssetCheckResult:
    """Return a result with a picture of its gates and their margins."""
    from beatsight_core.pages.pictures import gates as draw

    shown = {
        **(result.metadata or {}),
        "picture": picture(draw(written_rows(gates), title=title), "values beside their limits"),
    }
    return result._replace(metadata=shown)


def gates_result(
    name: str, gates: Iterable[Mapping[str, Any]], *, none: str = "Nothing to judge"
) -> dg.AssetCheckResult:
    """Return one check out of some gates: passed if all are; the failed ones in words, all of them in a table.

    Args:
        name: Name of the check.
        gates: Gates as JSON, each with name, value, limit, passed, margin and message.
        none: Description of the check where there is no gate.
    """
    judged = list(gates)
    failed = [gate for gate in judged if not gate["passed"]]
    told = {FAILED_GATES: "\n".join(map(gate_line, failed))} if failed else {}
    if len(judged) == 1:  # its figures as numbers, which the UI plots
        (gate,) = judged
        figures = {**numbers(gate, ("value", "limit", "margin")), **told}
        return check_result(name, gate["passed"], gate["message"], figures)
    passed = f"{len(judged)} of {len(judged)} passed" if judged else none
    said = "; ".join(gate["message"] for gate in failed) or passed
    return check_result(name, not failed, said, {"gates": gates_table(judged), **told} if judged else None)

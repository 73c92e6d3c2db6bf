"""Failed checks in the log of a run, at ERROR level: each gate with its value and limit, and where the report lies.

Dagster's own commands say of a check that fails only its name. The UI has the tables; a terminal has this.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from beatsight_core.gates.gate import Gate, written
from beatsight_core.safe_text import for_terminal

FAILED_GATES = "failed gates"
"""Metadata of a failed check: a line for each gate that failed."""

PAGE = "report as a file"
"""Metadata with the path of the page that a browser shows."""

REPORTS = ("report as JSON", "gate record", PAGE, "catalog", "run", "archive", "folder")
"""Metadata of an asset that says where all of it stands, the most telling first."""

CHECK_FAILED = "Check {name} failed: {why}"
BEGINS = CHECK_FAILED.partition("{")[0]


def gate_line(gate: Mapping[str, Any]) -> str:
    """Return a failed gate in a line: name, value, limit and what is to be done."""
    said = written(Gate.from_json(gate))
    return f"{said.name}: {said.value}, must be {said.limit}. {said.finding}"


def tell_failures(context: Any, event: Any) -> None:
    """Log what failed of an asset's result, of a check result, or of a check of one of several partitions.

    Args:
        context: Context of the step, whose `log` is written to.
        event: Value that the asset returned or yielded; a value of another kind is passed over.
    """
    log = getattr(context, "log", None)
    if log is None:
        return
    told = [line for check in _checks_of(event) for line in _lines(check)]
    for is_error, line in told:
        (log.error if is_error else log.warning)(for_terminal(line, lines=True))
    if told and isinstance(event, dg.MaterializeResult) and (place := report_of(event.metadata or {})):
        log.error(for_terminal(f"All of it: {place}"))


def _checks_of(event: Any) -> Iterable[dg.AssetCheckResult | dg.AssetCheckEvaluation]:
    if isinstance(event, dg.MaterializeResult):
        return event.check_results or ()
    return (event,) if isinstance(event, dg.AssetCheckResult | dg.AssetCheckEvaluation) else ()


def _lines(check: dg.AssetCheckResult | dg.AssetCheckEvaluation) -> Iterator[tuple[bool, str]]:
    """Whether it is an error, and what is said, of every gate of a check that failed."""
    if check.passed:
        return
    partition = getattr(check, "partition", None)
    name = f"{check.check_name}{f' ({partition})' if partition else ''}"
    gates = (check.metadata or {}).get(FAILED_GATES)
    texts = str(getattr(gates, "value", gates)).splitlines() if gates else [check.description or "no reason is given"]
    for text in texts:
        yield check.severity is dg.AssetCheckSeverity.ERROR, CHECK_FAILED.format(name=name, why=text)


def report_of(metadata: Mapping[str, Any], names: Sequence[str] = REPORTS) -> str | None:
    """Return where all of an asset's result stands, by its metadata; None if none of it says so.

    Args:
        metadata: Metadata of the asset.
        names: Names of paths in it, the first of which counts; by default for somebody in a terminal.
    """
    found = (metadata[name] for name in names if name in metadata)
    return next((str(value.value) for value in found if isinstance(value, dg.PathMetadataValue)), None)

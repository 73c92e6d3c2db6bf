"""Are a manifest's data healthy, by the report on disk? What training that costs much asks before it begins.

A report counts if its seal fits, if it is of the manifest and the dataset as they are now, if it was judged by the
limits that settings hold now, and if its figures, held against them once more, give the gates that it shows. A baseline
that was blessed since is held against its figures now.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from beatsight_core.dataset.index import dataset_digest, index_paths, read_index
from beatsight_core.errors import DatasetError, GateError
from beatsight_core.files import digest_json, json_bytes, read_json
from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.gate import Gate
from beatsight_core.gates.seal import SEAL, is_sealed
from beatsight_core.health.compare_baseline import read_baseline
from beatsight_core.health.verdict import judge_figures
from beatsight_core.manifest.catalog import SUMMARY
from beatsight_core.names import place_in
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings

BASELINE = "baseline"
"""Group of the gates that a blessed baseline makes possible."""

GO_ON = "go on all the same with --despite-health REASON (despite_health in the UI)"

NAMED = 4
"""Failed gates that the refusal quotes; the report has them all."""


def require_health(settings: Settings, key: str) -> list[dict[str, Any]]:
    """Let a training pass only behind a health report of this manifest's present dataset in which no gate failed.

    Args:
        settings: Say where reports and datasets lie, and which gates profile holds.
        key: The manifest's key.

    Returns:
        The report's gates, all passed, each with name, value, limit, margin, message.

    Raises:
        GateError: There is no report, it was altered, it is of another manifest, dataset, profile or limits, or gates
            failed, those against the present baseline among them; the message names them.
        DatasetError: The baseline cannot be used.
    """
    path = _report_path(settings, key)
    again = f"judge the data: beatsight health {for_shell(key)}"
    baseline = read_baseline(settings.health_dir)
    if not path.is_file():
        raise GateError("There is no health report of this manifest", where=key, do=f"{again}, or {GO_ON}")
    try:
        report = read_json(path)
        wrong, gates = _looked_at(settings, key, report, baseline)
    except (DatasetError, KeyError, TypeError, AttributeError) as error:
        raise GateError("The health report cannot be read", where=path, why=repr(error), do=again) from error
    if wrong:
        raise GateError(wrong, where=path, do=f"{again}, or {GO_ON}")
    failed = [gate for gate in gates if not gate["passed"]]
    if failed:
        quoted = [f"{gate['name']} ({gate['message']})" for gate in failed[:NAMED]]
        more = [f"{len(failed) - NAMED} more"] if len(failed) > NAMED else []
        raise GateError(
            f"{len(failed)} of {len(gates)} health gates failed: " + "; ".join(quoted + more),
            where=path,
            do=f"mend the data as each gate says and judge them again, or {GO_ON}",
        )
    return list(gates)


def _looked_at(
    settings: Settings, key: str, report: Mapping[str, Any], baseline: Mapping[str, Any] | None
) -> tuple[str | None, list[dict[str, Any]]]:
    """What is wrong with a report, None if nothing; and its gates, those against the baseline as it is now."""
    if not is_sealed(report):
        return "The health report was altered after it was written", []
    if wrong := _of_another(settings, key, report):
        return wrong, []
    shown = list(report["gates"])
    if report["passed"] != all(gate["passed"] for gate in shown):
        return "The health report does not hold: its verdict is not that of its gates", []
    verdict = judge_figures(report["statistics"], settings.gates, baseline)
    if (report["baseline"] or {}).get(SEAL) == (baseline or {}).get(SEAL):
        return _not_so(shown, verdict.gates), shown
    fresh = [gate.to_json() for gate in verdict.compared]  # another was blessed since, or the first
    kept = [gate for gate in shown if gate["group"] != BASELINE] if fresh else shown
    return _not_so(shown, verdict.own), kept + fresh


def _of_another(settings: Settings, key: str, report: Mapping[str, Any]) -> str | None:
    """What the report is of that is not what is there now; None if nothing."""
    if report["profile"] != settings.gates.profile:
        theirs, ours = report["profile"], settings.gates.profile
        return f"The health report was judged by the {theirs!r} profile, and {ours!r} holds"
    catalog = settings.catalog_folder(key) / SUMMARY
    if report["key"] != key or (catalog.is_file() and report["sha256"] != read_json(catalog)["sha256"]):
        return "The health report is of another manifest"
    judged = (report["statistics"]["export"] or {}).get("digest")
    if judged != dataset_digest(read_index(index) for index in index_paths(settings, key)):
        return "The health report is of another state of the dataset"
    now = orjson.loads(json_bytes(profile_of(settings.gates).to_json()))
    changed = [f"{name} (was {_short(report['limits'].get(name))}, is {_short(now[name])})" for name in now
               if report["limits"].get(name) != now[name]]  # fmt: skip
    return f"The health report was judged by other limits: {', '.join(changed)}" if changed else None


def _not_so(gates: Sequence[Mapping[str, Any]], found: Sequence[Gate]) -> str | None:
    """A gate that a report's own figures, held against the limits once more, do not give; None if there is none."""
    shown = {(gate["group"], gate["name"]): gate for gate in gates}
    for gate in found:
        told = shown.get((gate.group, gate.name), {})
        now = orjson.loads(json_bytes(gate.to_json()))
        if any(told.get(part) != now[part] for part in ("value", "limit", "passed")):
            return f"The health report does not hold: its figures give another verdict on {gate.name}"
    return None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def health_digest(settings: Settings, key: str) -> str | None:
    """What a manifest's health report found, as a digest: verdict, gates, limits and what was judged, but not when.

    None without a report. Judging the same data again by the same limits leaves it as it is.
    """
    report = _read(_report_path(settings, key))
    if report is None:
        return None
    named = ("key", "sha256", "profile", "limits", "passed", "gates")
    judged = {name: report.get(name) for name in named}
    figures = report.get("statistics")
    export = figures.get("export") if isinstance(figures, dict) else None
    return digest_json({**judged, "dataset": export.get("digest") if isinstance(export, dict) else None})


def health_named(settings: Settings, key: str) -> dict[str, Any] | None:
    """What a gate record says of the health report that was there: its seal, time and verdict; None without one."""
    report = _read(_report_path(settings, key))
    return None if report is None else {name: report.get(name) for name in ("seal", "made", "profile", "passed")}


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        report = read_json(path)
    except DatasetError:
        return {}
    return report if isinstance(report, dict) else {}


def _report_path(settings: Settings, key: str) -> Path:
    return place_in(settings.health_dir, key) / "report.json"

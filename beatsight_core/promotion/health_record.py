"""Are a manifest's data healthy, by the report on disk? What training that costs much asks before it begins.

A report counts if its seal fits, if it is of the manifest and the dataset as they are now, if it was judged by the
limits that settings hold now, and if its figures, held against them once more, give the gates that it shows. A baseline
that was approved since is held against its figures now.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from beatsight_core.dataset.index import dataset_digest, index_paths, read_index
from beatsight_core.errors import DatasetError, GateError
from beatsight_core.files import digest_json, json_bytes, read_json
from beatsight_core.gates.corpus_limits import profile_of
from beatsight_core.gates.gate import Gate
from beatsight_core.gates.record import BASELINE_FILE, HEALTH_REPORT, SealedRecord
from beatsight_core.manifest.identity import SUMMARY
from beatsight_core.names import place_in
from beatsight_core.safe_text import for_shell
from beatsight_core.settings import Settings
from beatsight_core.typed_json import from_json

if TYPE_CHECKING:
    from beatsight_core.health.compare_baseline import Baseline

BASELINE = "baseline"
"""Group of the gates that an approved baseline makes possible."""

GO_ON = "go on all the same with --override-health REASON (override_health in the UI)"

NAMED = 4
"""Failed gates that the refusal quotes; the report has them all."""


def require_health(settings: Settings, key: str) -> list[Gate]:
    """Let a training pass only behind a health report of this manifest's present dataset in which no gate failed.

    Args:
        settings: Settings that say where reports and datasets lie, and which gates profile holds.
        key: The manifest's key.

    Returns:
        Gates of the report, all passed.

    Raises:
        GateError: There is no report, it was altered, it is of another manifest, dataset, profile or limits, or gates
            failed, those against the present baseline among them; the message names them.
        DatasetError: The baseline cannot be used.
    """
    from beatsight_core.health.compare_baseline import read_baseline

    baseline = read_baseline(settings.health_dir)
    record = read_health_record(settings, key)
    if record is None:
        raise GateError("There is no health report of this manifest", where=key, do=_how_to_judge(key))
    try:
        gates = _standing_gates(settings, key, record, baseline)
    except (DatasetError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise record.refusal(f"it cannot be read ({error!r})") from error
    failed = [gate for gate in gates if not gate.passed]
    if failed:
        quoted = [f"{gate.name} ({gate.message})" for gate in failed[:NAMED]]
        more = [f"{len(failed) - NAMED} more"] if len(failed) > NAMED else []
        raise GateError(
            f"{len(failed)} of {len(gates)} health gates failed: " + "; ".join(quoted + more),
            where=record.path,
            do=f"mend the data as each gate says and judge them again, or {GO_ON}",
        )
    return gates


def read_health_record(settings: Settings, key: str) -> SealedRecord | None:
    """Return the health report of a manifest as it lies on disk, its seal looked at; None without one.

    Raises:
        GateError: The report is broken, has another format, or was altered.
    """
    path = _report_path(settings, key)
    return SealedRecord.read(path, HEALTH_REPORT, subject="health report", do=_how_to_judge(key))


def _how_to_judge(key: str) -> str:
    return f"judge the data: beatsight health {for_shell(key)}, or {GO_ON}"


def changed_since(settings: Settings, key: str, record: SealedRecord) -> list[str]:
    """Return what a health report rests on that is no longer so, in words.

    Raises:
        DatasetError: An index of the dataset cannot be read.
    """
    judged = (record.content["statistics"]["export"] or {}).get("digest")
    with_dataset = replace(record, content={**record.content, "dataset": judged})
    return with_dataset.changed_inputs(_inputs(settings, key))


def other_baseline(settings: Settings, record: SealedRecord) -> bool:
    """Return whether another baseline was approved since a report was written, or the first."""
    path = settings.health_dir / BASELINE_FILE
    now, then = (read_json(path) if path.is_file() else {}), record.content["baseline"] or {}
    return bool(now.get(HEALTH_REPORT.seal) != then.get(HEALTH_REPORT.seal))


def _standing_gates(settings: Settings, key: str, record: SealedRecord, baseline: "Baseline | None") -> list[Gate]:
    """The gates of a report that holds, those against the baseline as it is now.

    Raises:
        GateError: The inputs of the report have changed, or its figures give other gates.
    """
    from beatsight_core.health.figures.statistics import CorpusFigures
    from beatsight_core.health.verdict import judge_figures

    content = record.content
    if changed := changed_since(settings, key, record):
        raise record.refusal("; ".join(changed))
    verdict = judge_figures(from_json(CorpusFigures, content["statistics"]), settings.gates, baseline)
    if (content["baseline"] or {}).get(HEALTH_REPORT.seal) == (baseline.seal if baseline else None):
        changed = record.changed_gates(verdict.gates)
    else:  # another baseline was approved since, or the first
        kept = [row for row in content["gates"] if row["group"] != BASELINE]
        own = {**content, "gates": kept, "passed": all(row["passed"] for row in kept)}
        changed = replace(record, content=own).changed_gates(verdict.own)
    if changed:
        raise record.refusal("; ".join(changed))
    return list(verdict.gates)


def _inputs(settings: Settings, key: str) -> dict[str, Any]:
    """What a report of this manifest rests on, as it is now."""
    present = {
        "profile": settings.gates.profile,
        "key": key,
        "dataset": dataset_digest(read_index(index) for index in index_paths(settings, key)),
        "limits": orjson.loads(json_bytes(profile_of(settings.gates).to_json())),
    }
    catalog = settings.catalog_folder(key) / SUMMARY
    return {**present, "sha256": read_json(catalog)["sha256"]} if catalog.is_file() else present


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
    return place_in(settings.health_dir, key) / HEALTH_REPORT.file

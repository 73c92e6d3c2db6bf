"""Are a manifest's data healthy, by the report on disk? What training that costs much asks before it begins."""

from pathlib import Path
from typing import Any

from beatsight_core.dataset.index import dataset_digest, index_paths, read_index
from beatsight_core.errors import DatasetError, GateError
from beatsight_core.files import digest_json, file_name, read_json
from beatsight_core.settings import Settings

NAMED = 12
"""Failed gates that the refusal quotes; the report has them all."""


def require_health(settings: Settings, key: str) -> list[dict[str, Any]]:
    """Let a training pass only behind a health report of this manifest's present dataset in which no gate failed.

    Args:
        settings: Say where reports and datasets lie, and which gates profile holds.
        key: The manifest's key.

    Returns:
        The report's gates, all passed, each with name, value, limit, margin, message.

    Raises:
        GateError: There is no report, it is of another dataset or profile, or gates failed; the message names them.
    """
    path = _report_path(settings, key)
    again = f"judge the data: beatsight health {key}"
    if not path.is_file():
        raise GateError("There is no health report of this manifest", where=key, do=again)
    try:
        report = read_json(path)
        passed, gates, profile = report["passed"], report["gates"], report["profile"]
        judged = (report["statistics"]["export"] or {}).get("digest")
    except (DatasetError, KeyError, TypeError, AttributeError) as error:
        raise GateError("The health report cannot be read", where=path, why=repr(error), do=again) from error
    if profile != settings.gates.profile:
        said = f"The health report was judged by the {profile!r} profile, and {settings.gates.profile!r} holds"
        raise GateError(said, where=path, do=again)
    if judged != dataset_digest(read_index(index) for index in index_paths(settings, key)):
        raise GateError("The health report is of another state of the dataset", where=path, do=again)
    failed = [gate for gate in gates if not gate["passed"]]
    if failed or not passed:
        quoted = [f"{gate['name']} ({gate['message']})" for gate in failed[:NAMED]]
        more = [f"{len(failed) - NAMED} more"] if len(failed) > NAMED else []
        raise GateError(
            f"{len(failed)} of {len(gates)} health gates failed: " + "; ".join(quoted + more),
            where=path,
            do="mend the data as each gate says and judge them again",
        )
    return list(gates)


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
    return settings.health_dir / file_name(key) / "report.json"

"""Whether a version works where it will be used: the last thing asked before it may become champion.

Other than the criteria of a promotion, which judge how well a model hears, this judges the files: a process of its own
loads each form of the version's own folder and asks it about the self-test's clips. No reason given for force helps
against it: a version that does not load is of no use to anybody.
"""

from pathlib import Path
from typing import Any

import numpy as np

from beatsight_core.errors import UnfitError
from beatsight_core.gates.release_limits import Limit
from beatsight_core.promotion.criteria import TOLERANCE_EXPORT, Criterion
from beatsight_core.promotion.delivery.export_model import FORMS, check_in_fresh_process
from beatsight_core.settings import Settings

CHECKS = ("forms_load", "selftest_agrees", "selftest_says_the_same", "latency", "size")
"""The names of all checks, in the order they are told."""


def infrastructure_checks(settings: Settings, folder: Path) -> list[Criterion]:
    """Load a version in a fresh process, and hold what was seen against the limits of `[release]`.

    Args:
        settings: The limits.
        folder: A version, or the folder that becomes one.
    """
    answer = check_in_fresh_process(folder)
    differences, latency = answer.get("differences", {}), answer.get("latency_ms", {})
    worst = max(differences.values(), default=np.inf)
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    release = settings.release
    return [
        _row("forms_load", "forms that load in a fresh process", float(len(differences)), Limit(len(FORMS), "≥"),
             answer.get("error", "the .pth as plain weights, the safetensors, and the graph in onnxruntime")),
        _row("selftest_agrees", "difference of a probability in the self-test",
             float(worst) if np.isfinite(worst) else None, Limit(TOLERANCE_EXPORT, "≤"), _told(differences, "")),
        _row("selftest_says_the_same", "clips of the self-test of which other components are said",
             _number(answer.get("said_otherwise")), Limit(0.0, "≤"), f"of {answer.get('clips', 0)} clips"),
        _row("latency", "milliseconds for one clip on one core",
             max(latency.values(), default=None), Limit(release.max_latency_ms, "≤"), _told(latency, " ms")),
        _row("size", "millions of bytes", megabytes, Limit(release.max_size_mb, "≤"), "all files of the version"),
    ]  # fmt: skip


def require_fit(settings: Settings, folder: Path) -> list[Criterion]:
    """The checks of a version, all of them passed.

    Raises:
        UnfitError: Some did not; names each with value and limit.
    """
    rows = infrastructure_checks(settings, folder)
    failed = [row for row in rows if not row.passed]
    if failed:
        error = UnfitError(
            "The version is not fit for use, so nothing was promoted: " + "; ".join(_failure(row) for row in failed),
            where=folder.parent,
            why=next((row.message for row in failed if row.name == "forms_load"), None),
            do="mend what is named, or raise release.max_latency_ms or release.max_size_mb; --force does not help here",
        )
        error.rows = tuple(row.to_json() for row in rows)
        raise error
    return rows


def _row(name: str, title: str, value: float | None, limit: Limit, message: str) -> Criterion:
    passed = limit.is_met_by(value)
    return Criterion(name, title, value, limit.value, limit.sign, limit.margin(value), passed, message)


def _failure(row: Criterion) -> str:
    value = "not measured" if row.value is None else f"{row.value:.4g}"
    return f"{row.title} {value}, limit {row.sign} {row.limit:g}"


def _told(figures: dict[str, Any], unit: str) -> str:
    return ", ".join(f"{name} {value:.2g}{unit}" for name, value in figures.items()) or "not measured"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)

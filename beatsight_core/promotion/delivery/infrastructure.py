"""Whether a version works where it will be used: the last thing asked before it may become champion.

Other than the criteria of a promotion, which judge how well a model hears, this judges the files: a process of its own
loads each form of the version's own folder and asks it about the self-test's clips. No reason given for force helps
against it: a version that does not load is of no use to anybody. Latency is that of the fastest clip, so that a busy
machine refuses nothing.
"""

from pathlib import Path
from typing import Any

import numpy as np

from beatsight_core.errors import UnfitError
from beatsight_core.gates.gate import Gate, at_least, at_most, written
from beatsight_core.promotion.criteria import TOLERANCE_EXPORT
from beatsight_core.promotion.delivery.export_model import FORMS, check_in_fresh_process
from beatsight_core.settings import Settings

CHECKS = ("forms_load", "selftest_agrees", "selftest_says_the_same", "latency", "size")
"""The names of all checks, in the order they are told."""


def infrastructure_checks(settings: Settings, folder: Path) -> list[Gate]:
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
    loaded = answer.get("error", "the .pth as plain weights, the safetensors, and the graph in onnxruntime")
    return [
        Gate(
            "forms_load", float(len(differences)), at_least(len(FORMS)), loaded,
            title="forms that load in a fresh process",
        ),
        Gate(
            "selftest_agrees", float(worst) if np.isfinite(worst) else None, at_most(TOLERANCE_EXPORT),
            _list_of(differences, ""), title="difference of a probability in the self-test", format="number",
        ),
        Gate(
            "selftest_says_the_same", _number(answer.get("said_otherwise")), at_most(0.0),
            f"of {answer.get('clips', 0)} clips", title="clips of the self-test of which other components are said",
        ),
        Gate(
            "latency", max(latency.values(), default=None), at_most(release.max_latency_ms), _list_of(latency, " ms"),
            title="time for one clip on one core", format="milliseconds", setting="release.max_latency_ms",
        ),
        Gate(
            "size", megabytes, at_most(release.max_size_mb), "all files of the version",
            title="size of the version", format="megabytes", setting="release.max_size_mb",
        ),
    ]  # fmt: skip


def require_fit(settings: Settings, folder: Path) -> list[Gate]:
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


def _failure(gate: Gate) -> str:
    said = written(gate)
    return f"{said.name} {said.value}, limit {said.limit}"


def _list_of(figures: dict[str, Any], unit: str) -> str:
    return ", ".join(f"{name} {value:.2g}{unit}" for name, value in figures.items()) or "not measured"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)

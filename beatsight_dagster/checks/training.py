"""Checks of the trained models, and of the probe."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from beatsight_dagster.checks.specs import gates_result, manifest_check, pictured

PROBE_GATE = "probe_gate"
CURVES = (
    "Training loss falls smoothly; validation loss neither flattens nor rises before epoch 15, does not swing after "
    "the warm-up, and ends near its best."
)


def specs(asset: str, *, probe: bool = False) -> list[dg.AssetCheckSpec]:
    """The checks of one trained model.

    The probe's gate does not block: what it guards is the long run, which asks the record itself, while the runbook
    wants a probe evaluated at once, above all a bad one.
    """
    found = [
        manifest_check(asset, "finite", "Every loss of every epoch is a number."),
        manifest_check(asset, "curves", CURVES, blocking=False),
    ]
    if probe:
        text = (
            "Accuracy, every cymbal and tom, watched confusions and curves are worth a long run, which asks for this."
        )
        found.append(manifest_check(asset, PROBE_GATE, text, blocking=False))
    return found


def results(
    history: Sequence[Mapping[str, Any]],
    warmup_epochs: float,
    probe: Mapping[str, Any] | None = None,
) -> list[dg.AssetCheckResult]:
    """Judge a finished run by its history.

    Args:
        history: Epochs of the run.
        warmup_epochs: Epochs of warm-up in its schedule.
        probe: Gate record of a probe.
    """
    from beatsight_core.runs.curve_checks import check_curves

    gates = [check.to_json() for check in check_curves(history, warmup_epochs)]
    found = [
        gates_result("finite", [gate for gate in gates if gate["name"] == "finite"]),
        gates_result("curves", [gate for gate in gates if gate["name"] != "finite"], none="There are no finite losses"),
    ]
    if probe is not None:
        judged = gates_result(PROBE_GATE, probe["gates"])
        rare = ", ".join(probe["too_rare"]) or "none"
        judged = judged._replace(
            metadata={**(judged.metadata or {}), "too rare to be judged": dg.MetadataValue.text(rare)}
        )
        found.append(pictured(judged, probe["gates"], "Gates of the probe"))
    return found

"""Checks of `manifest`: nothing was lost on the way in, and little was refused."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from beatsight_core.settings import Settings
from beatsight_dagster.checks.specs import check_result, gates_result, manifest_check
from beatsight_dagster.metadata import counts

SPECS = [
    manifest_check("manifest", "lines_reconcile", "Every line read is an event kept or a line rejected."),
    manifest_check("manifest", "reject_rate", "No more lines are refused than gates.max_reject_rate lets."),
]


def results(summary: Mapping[str, Any], settings: Settings) -> list[dg.AssetCheckResult]:
    """Judge a catalog's summary by the gate that the health report has, too."""
    from beatsight_core.gates.corpus_limits import profile_of
    from beatsight_core.health.reject_gate import reject_gate
    from beatsight_core.manifest.catalog import REJECTED
    from beatsight_core.manifest.refused import refused_figures

    read, kept, rejected = summary["read"], summary["kept"], summary["rejected"]
    refused = refused_figures(summary, settings.catalog_folder(summary["key"]) / REJECTED)
    gate = reject_gate(refused, profile_of(settings.gates).max_reject_rate)
    judged = gates_result("reject_rate", [gate.to_json()])
    rate = dg.MetadataValue.float(gate.value or 0.0)
    reasons = {"rejected for": counts(summary["rejects_by_reason"], "reason", "lines")}
    return [
        check_result(
            "lines_reconcile", read == kept + rejected, f"{read:,} read = {kept:,} kept + {rejected:,} rejected"
        ),
        judged._replace(metadata={**(judged.metadata or {}), "rate": rate, **reasons}),
    ]

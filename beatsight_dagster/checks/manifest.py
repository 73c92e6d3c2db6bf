"""Checks of `manifest`: nothing was lost on the way in, and little was refused."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from beatsight_core.settings import Settings
from beatsight_dagster.checks.specs import check_result, manifest_check
from beatsight_dagster.metadata import counts

SPECS = [
    manifest_check("manifest", "lines_reconcile", "Every line read is an event kept or a line rejected."),
    manifest_check(
        "manifest", "reject_rate", "No more lines are rejected than events may be without audio: both are lost."
    ),
]


def results(summary: Mapping[str, Any], settings: Settings) -> list[dg.AssetCheckResult]:
    """Judge a catalog's summary."""
    from beatsight_core.health.gates import profile_of

    read, kept, rejected = summary["read"], summary["kept"], summary["rejected"]
    rate, limit = rejected / max(read, 1), profile_of(settings.gates).max_missing_rate
    reasons = {"rejected for": counts(summary["rejects_by_reason"], "reason", "lines")}
    return [
        check_result(
            "lines_reconcile", read == kept + rejected, f"{read:,} read = {kept:,} kept + {rejected:,} rejected"
        ),
        check_result(
            "reject_rate",
            rate <= limit,
            f"{rejected:,} of {read:,} lines ({rate:.3%}) are rejected, limit {limit:.1%}; "
            "rejected.jsonl in the catalog's folder has each with its reason",
            {"rate": rate, "limit": limit, **reasons},
        ),
    ]

"""Checks of `dataset`, per source set, and of `dataset_health`."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from beatsight_core.settings import Settings
from beatsight_dagster.checks.specs import check_result, gates_result, manifest_check, source_check
from beatsight_dagster.metadata import counts

RECONCILIATION = source_check(
    "dataset", "hits_reconcile", "Every hit of the source set is a clip, or is rejected for a reason."
)
COVERAGE = source_check(
    "dataset", "coverage", "Hits without a clip are at most as many as the gates let events be without audio."
)
SPECS = [RECONCILIATION, COVERAGE]

HEALTH_GROUPS = {
    "rejects": "Few lines of the manifest were refused.",
    "counts": "Every component has enough hits.",
    "techniques": "The required techniques occur.",
    "labels": "Few duplicated events, no unknown labels.",
    "audio": "Few events lack usable audio, in all and per source set.",
    "sound": "Few clips are clipped, offset or silent, and strokes begin where their labels say, in every session.",
    "reconciliation": "All counts agree, from the manifest's lines to the exported clips.",
    "leakage": "No session and no audio file lies in two splits.",
    "baseline": "No component has dropped and no source set has drifted much against the approved report, and no gate "
    "fails anew.",
}
"""Group of gates -> what its check says."""

HEALTH_SPECS = [manifest_check("dataset_health", group, text) for group, text in HEALTH_GROUPS.items()]


def results(counted: Mapping[str, Any], rejected: Mapping[str, int], settings: Settings) -> list[dg.AssetCheckResult]:
    """Judge one source set's index.

    Args:
        counted: Counts of the index: hits and clips.
        rejected: Number of hits without a clip, by reason.
        settings: Settings with the limits of the gates.
    """
    from beatsight_core.gates.corpus_limits import profile_of

    hits, clips, lost = counted["hits"], counted["clips"], sum(rejected.values())
    share, limit = lost / max(hits, 1), profile_of(settings.gates).max_missing_rate_per_source
    reasons = {"rejected for": counts(rejected, "reason", "hits")}
    return [
        check_result(RECONCILIATION.name, hits == clips + lost, f"{hits:,} hits = {clips:,} clips + {lost:,} rejected"),
        check_result(
            COVERAGE.name,
            share <= limit,
            f"{lost:,} of {hits:,} hits ({share:.2%}) have no clip, limit {limit:.1%} "
            "(gates.max_missing_rate_per_source)",
            reasons,
        ),
    ]


def health_results(result: Mapping[str, Any]) -> list[dg.AssetCheckResult]:
    """Every gate of a health report, by group."""
    by_group: dict[str, list[Mapping[str, Any]]] = {group: [] for group in HEALTH_GROUPS}
    for gate in result["gates"]:
        by_group[gate["group"]].append(gate)
    return [gates_result(group, gates, none=_NONE.get(group, "Nothing to judge")) for group, gates in by_group.items()]


_NONE = {
    "baseline": "No baseline is approved, so there is nothing to compare with",
    "sound": "Nothing was exported yet, so there is nothing to hear",
}

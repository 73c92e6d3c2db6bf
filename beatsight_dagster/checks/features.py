"""Checks of `feature_cache`, per source set."""

import dagster as dg

from beatsight_dagster.checks.specs import check_result, source_check

COVERAGE = source_check("feature_cache", "coverage", "Every clip has its features: 100 %, or nothing may be trained.")
SPECS = [COVERAGE]


def result(coverage: float, clips: int) -> dg.AssetCheckResult:
    """Judge how much of a source set is covered."""
    return check_result(COVERAGE.name, coverage >= 1.0, f"{coverage:.2%} of {clips:,} clips have features")

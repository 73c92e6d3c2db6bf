"""The first inputs of a promotion's verdict: those that are there before an evaluation is opened. Loads no tables."""

from collections.abc import Mapping
from typing import Any

from beatsight_core.files import read_json
from beatsight_core.gates.release_limits import limits_for, probe_limits, profile_notice
from beatsight_core.manifest.identity import SUMMARY
from beatsight_core.manifest.shifts import corrections_notice
from beatsight_core.promotion.health_record import health_digest
from beatsight_core.promotion.version.model_notices import joined_notices
from beatsight_core.runs.overrides import override_notice
from beatsight_core.runs.records import Run
from beatsight_core.settings import Settings


def first_inputs(settings: Settings, trained: Run, digests: Mapping[str, str]) -> dict[str, Any]:
    """Return what a verdict rests on before anything was made for it: the run, its data, the limits.

    Args:
        settings: Settings with limits and their profile.
        trained: Run of the candidate.
        digests: Digests of its checkpoint and thresholds, and of dataset and spec as they are now.
    """
    limits = limits_for(settings)
    asked = probe_limits(settings)
    return {
        "run_id": trained.run_id,
        "key": trained.key,
        "preset": trained.preset,
        "profile": settings.gates.profile,
        "notice": joined_notices(
            profile_notice(settings), override_notice(trained.folder), _moved_notice(settings, trained.key)
        ),
        "digests": {**digests, "health": health_digest(settings, trained.key)},
        "limits": {
            **{name: limit.value for name, limit in limits.items()},
            **{f"slice_{name}": value for name, value in asked.to_json().items()},
        },
    }


def _moved_notice(settings: Settings, key: str) -> str | None:
    """What is said of onsets that were moved before the run learned from them."""
    path = settings.catalog_folder(key) / SUMMARY
    return corrections_notice(read_json(path).get("corrections", {})) if path.is_file() else None

"""Checks of `audio_inventory`: the audio is there before hours are spent on it."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from beatsight_core.settings import Settings
from beatsight_dagster.checks.specs import check_result, gates_result, manifest_check

SPECS = [
    manifest_check(
        "audio_inventory",
        "missing_rate",
        "Events whose audio is missing, unreadable or too short, in all and per source.",
    ),
    manifest_check(
        "audio_inventory", "roots_mounted", "Each source set has a root that is mounted; one is enough.", blocking=False
    ),
]


def results(inventory: Mapping[str, Any], settings: Settings) -> list[dg.AssetCheckResult]:
    """Judge an inventory by the limits that the health report uses, too."""
    from beatsight_core.health.gates import profile_of

    limits = profile_of(settings.gates)
    gates = [_gate("all events", inventory, limits.max_missing_rate)]
    for name, source in inventory["by_source"].items():
        gates.append(_gate(f"events of {name}", source, limits.max_missing_rate_per_source))
    mounted = {root["source_set"] for root in inventory["roots"] if root["mounted"]}
    absent = sorted({root["source_set"] for root in inventory["roots"]} - mounted)
    said = f"no root is mounted of {', '.join(absent)}" if absent else "each source set has a mounted root"
    return [gates_result("missing_rate", gates), check_result("roots_mounted", not absent, said)]


def _gate(name: str, audio: Mapping[str, Any], limit: float) -> dict[str, Any]:
    from beatsight_core.health.gates import at_most

    lost = audio["missing_events"] + audio["unreadable_events"] + audio["events_past_end"]
    rate = lost / audio["events"] if audio["events"] else 0.0
    found = f"{lost:,} of {audio['events']:,} {name} ({rate:.2%}) are without usable audio, limit {limit:.1%}"
    return at_most(name, "audio", rate, limit, format="share", found=found).to_json()

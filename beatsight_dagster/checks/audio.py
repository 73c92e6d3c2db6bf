"""Checks of `audio_inventory`: the audio is there before hours are spent on it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dagster as dg

from beatsight_core.settings import Settings
from beatsight_dagster.checks.specs import check_result, gates_result, manifest_check

if TYPE_CHECKING:
    from beatsight_core.audio.inventory_figures import AudioCounts, AudioFigures

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


SHOWN = ("roots", "by source set", "files that cost events")
"""Metadata of the inventory that its failure shows, too."""


def results(inventory: "AudioFigures", settings: Settings) -> list[dg.AssetCheckResult]:
    """Judge an inventory by the limits that the health report uses, too. A failed check says where it was looked."""
    from beatsight_core.audio.absence import describe_absence, sources_without_root
    from beatsight_core.gates.corpus_limits import profile_of

    limits = profile_of(settings.gates)
    gates = [_gate("all events", inventory, limits.max_missing_rate)]
    for name, source in inventory.by_source.items():
        gates.append(_gate(f"events of {name}", source, limits.max_missing_rate_per_source))
    missing = gates_result("missing_rate", gates)
    absence = describe_absence(inventory, settings, short=True)
    if not missing.passed:
        missing = missing._replace(description=f"{absence} {missing.description}.")
    gone = sources_without_root(inventory)
    said = absence if gone and absence else "each source set has a mounted root"
    return [missing, check_result("roots_mounted", not gone, said)]


def blocks(results: Iterable[dg.AssetCheckResult]) -> bool:
    """Return whether a check that blocks has failed."""
    blocking = {spec.name for spec in SPECS if spec.blocking}
    return any(not result.passed and result.check_name in blocking for result in results)


def _gate(name: str, audio: "AudioCounts", limit: float) -> dict[str, Any]:
    from beatsight_core.gates.gate import Gate, at_most

    lost = audio.lost_events
    rate = lost / audio.events if audio.events else 0.0
    found = f"{lost:,} of {audio.events:,} {name} ({rate:.2%}) are without usable audio, limit {limit:.1%}"
    return Gate(name, rate, at_most(limit), found, format="share", group="audio").to_json()

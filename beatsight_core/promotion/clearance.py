"""What each preset must have behind it before it may spend: one rule for the command line and the graph."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from beatsight_core.errors import GateError, UsageError
from beatsight_core.promotion.health_record import require_health
from beatsight_core.promotion.probe_record import require_probe
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")

HEALTH, PROBE = "health", "probe"

REQUIRED: Mapping[str, tuple[str, ...]] = {"baseline": (HEALTH,), "long_run": (HEALTH, PROBE)}
"""Preset -> what is asked for. The warm-up probe is cheap, and often run to find out, so nothing is asked of it."""

_CHECKS: Mapping[str, Callable[[Settings, str], Any]] = {HEALTH: require_health, PROBE: require_probe}


def require_clearance(
    settings: Settings, key: str, preset: str, *, despite: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """Let a preset train on a manifest only if its records on disk say that it is worth it.

    Args:
        settings: Where the records lie, and by which profile they are judged.
        key: The manifest's key.
        preset: warmup, baseline or long_run.
        despite: "health" or "probe" -> the reason for going on although that refuses.

    Returns:
        What was gone on despite of: "health" or "probe" -> the reason and the refusal in words. Empty as a rule.

    Raises:
        GateError: The data are not healthy, or the probe is not.
        UsageError: A reason is blank.
    """
    reasons = {name: reason for name, reason in (despite or {}).items() if reason is not None}
    if any(not reason.strip() for reason in reasons.values()):
        raise UsageError("A blank reason was given for going on", do="say why, in words")
    waived: dict[str, str] = {}
    for name in REQUIRED.get(preset, ()):
        try:
            _CHECKS[name](settings, key)
        except GateError as refusal:
            if name not in reasons:
                raise
            waived[name] = f"{reasons[name]} (refused: {refusal})"
            logger.warning("%s goes on despite %s: %s", preset, name, waived[name])
    return waived

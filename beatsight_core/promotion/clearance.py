"""What each preset must have behind it before it may spend: one rule for the command line and the graph."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from beatsight_core.errors import GateError, UsageError
from beatsight_core.promotion.health_record import require_health
from beatsight_core.promotion.probe_record import require_probe
from beatsight_core.settings import Settings
from beatsight_core.training.waivers import Waiver

logger = logging.getLogger("beatsight")

HEALTH, PROBE = "health", "probe"

REQUIRED: Mapping[str, tuple[str, ...]] = {"baseline": (HEALTH,), "long_run": (HEALTH, PROBE)}
"""Preset -> what is asked for. The warm-up probe is cheap, and often run to find out, so nothing is asked of it."""

_CHECKS: Mapping[str, Callable[[Settings, str], Any]] = {HEALTH: require_health, PROBE: require_probe}


def require_clearance(
    settings: Settings, key: str, preset: str, *, despite: Mapping[str, str | None] | None = None
) -> dict[str, Waiver]:
    """Let a preset train on a manifest only if its records on disk say that it is worth it.

    Args:
        settings: Where the records lie, and by which profile they are judged.
        key: The manifest's key.
        preset: warmup, baseline or long_run.
        despite: "health" or "probe" -> the reason for going on although that refuses.

    Returns:
        What is gone on despite of, by "health" or "probe"; empty as a rule. Each is to be kept with the run
        (`training.run.Terms`). A reason for a gate that does not refuse is not used.

    Raises:
        GateError: The data are not healthy, or the probe is not.
        UsageError: A reason is blank.
    """
    reasons = {name: reason for name, reason in (despite or {}).items() if reason is not None}
    if any(not reason.strip() for reason in reasons.values()):
        raise UsageError("A blank reason was given for going on", do="say why, in words")
    waived: dict[str, Waiver] = {}
    for name in REQUIRED.get(preset, ()):
        try:
            _CHECKS[name](settings, key)
        except GateError as refusal:
            if name not in reasons:
                raise
            waived[name] = Waiver(name, reasons[name].strip(), str(refusal))
            logger.warning("%s goes on despite %s: %s", preset, name, waived[name])
    return waived

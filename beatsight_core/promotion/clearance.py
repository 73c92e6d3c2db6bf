"""What each preset must have behind it before it may spend: one rule for the command line and the graph.

What is asked for goes by what is spent, too: a preset that is given as many epochs as a dearer one ships with has to
show what that one has to show, so that another name is no way around a gate.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from beatsight_core.errors import GateError, UsageError
from beatsight_core.promotion.health_record import require_health
from beatsight_core.promotion.probe_record import require_probe
from beatsight_core.settings import Settings
from beatsight_core.training.presets import preset_values
from beatsight_core.training.waivers import Waiver

logger = logging.getLogger("beatsight")

HEALTH, PROBE = "health", "probe"

REQUIRED: Mapping[str, tuple[str, ...]] = {"baseline": (HEALTH,), "long_run": (HEALTH, PROBE)}
"""Preset -> what is asked for. The warm-up probe is cheap, and often run to find out, so nothing is asked of it."""

_CHECKS: Mapping[str, Callable[[Settings, str], Any]] = {HEALTH: require_health, PROBE: require_probe}


def required(preset: str, epochs: int) -> tuple[str, ...]:
    """The gates that a run must have passed: its preset's, and those of each preset that ships with no more epochs."""
    asking = {preset, *(name for name in REQUIRED if epochs >= preset_values(name)["epochs"])}
    return tuple(gate for gate in _CHECKS if any(gate in REQUIRED.get(name, ()) for name in asking))


def require_clearance(
    settings: Settings, key: str, preset: str, epochs: int, *, despite: Mapping[str, str | None] | None = None
) -> dict[str, Waiver]:
    """Let a preset train on a manifest only if its records on disk say that it is worth it.

    Args:
        settings: Where the records lie, and by which profile they are judged.
        key: The manifest's key.
        preset: warmup, baseline or long_run.
        epochs: That it is to be trained in all.
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
    asked = required(preset, epochs)
    if beyond := [name for name in asked if name not in REQUIRED.get(preset, ())]:
        logger.info("%s with %s epochs is no small run any more: it needs %s", preset, epochs, " and ".join(beyond))
    for name in asked:
        try:
            _CHECKS[name](settings, key)
        except GateError as refusal:
            if name not in reasons:
                raise
            waived[name] = Waiver(name, reasons[name].strip(), str(refusal))
            logger.warning("%s goes on despite %s: %s", preset, name, waived[name])
    return waived

"""What each preset must have behind it before it may spend: one rule for the command line and the graph.

What is asked for goes by what is spent, too: a preset that is given as many epochs as a dearer one ships with has to
show what that one has to show, so that another name is no way around a gate.
"""

import logging
from collections.abc import Mapping

from beatsight_core.errors import GateError, UsageError
from beatsight_core.promotion.health_record import require_health
from beatsight_core.promotion.probe_record import require_probe
from beatsight_core.runs.overrides import GateOverride
from beatsight_core.runs.presets import TrainingConfig, preset_values
from beatsight_core.settings import Settings

logger = logging.getLogger("beatsight")

HEALTH, PROBE = "health", "probe"

REQUIRED: Mapping[str, tuple[str, ...]] = {"baseline": (HEALTH,), "long_run": (HEALTH, PROBE)}
"""Preset -> what is asked for. The warm-up probe is cheap, and often run to find out, so nothing is asked of it."""


def required(preset: str, epochs: int) -> tuple[str, ...]:
    """Return the gates that must pass before a run: its preset's and those of presets that ship with no more epochs."""
    asking = {preset, *(name for name in REQUIRED if epochs >= preset_values(name)["epochs"])}
    return tuple(gate for gate in (HEALTH, PROBE) if any(gate in REQUIRED.get(name, ()) for name in asking))


def require_clearance(
    settings: Settings,
    key: str,
    config: TrainingConfig,
    *,
    reasons: Mapping[str, str | None] | None = None,
    probe: str | None = None,
) -> dict[str, GateOverride]:
    """Let a preset train on a manifest only if its records on disk say that it is worth it.

    Args:
        settings: Settings that say where the records lie, and by which profile they are judged.
        key: Key of the manifest.
        config: Configuration of the run, with the epochs that it is to be trained in all.
        reasons: "health" or "probe" -> the reason for going on although that refuses.
        probe: Id of the probe to go by, where one is asked for; the newest that counts if None.

    Returns:
        Overrides by "health" or "probe"; empty as a rule. Each is to be kept with the run
        (`training.run.RunOptions`). A reason for a gate that does not refuse is not used.

    Raises:
        GateError: The data are not healthy, or the probe is not.
        ModelError: There is no run of the id that is given for the probe.
        UsageError: A reason is blank.
    """
    preset, epochs = config.preset, config.epochs
    given = {name: reason for name, reason in (reasons or {}).items() if reason is not None}
    if any(not reason.strip() for reason in given.values()):
        raise UsageError("A blank reason was given for going on", do="say why, in words")
    overridden: dict[str, GateOverride] = {}
    asked = required(preset, epochs)
    if beyond := [name for name in asked if name not in REQUIRED.get(preset, ())]:
        logger.info("%s with %s epochs is no small run any more: it needs %s", preset, epochs, " and ".join(beyond))
    for name in asked:
        try:
            if name == HEALTH:
                require_health(settings, key)
            else:
                require_probe(settings, key, config, probe)
        except GateError as refusal:
            if name not in given:
                raise
            overridden[name] = GateOverride(name, given[name].strip(), str(refusal))
            logger.warning("%s goes on, the gate of its %s overridden: %s", preset, name, overridden[name])
    return overridden

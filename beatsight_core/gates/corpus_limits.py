"""Limits of a corpus by name: the shipped profiles, and what settings put over them.

The `production` profile has the figures of the production set. The `demo` profile has the same gates for some thousand
hits with a few deliberate faults: it lets those through and nothing much worse.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from beatsight_core.settings import GateSettings, Profile

__all__ = ["PROFILES", "TECHNIQUES", "Profile", "profile_of"]

TECHNIQUES: Mapping[str, str] = {
    "hihat_bark": "a stroke on the open hi-hat that the foot shuts at once",
    "metric_modulation": "strokes after a change of tempo by which a division of the old beat is the new beat",
    "variable_meter": "strokes after a change of meter within a session",
    "multi_cymbal_same_class": "a stroke on the second cymbal of one class, as on another china",
}
"""Techniques that a corpus must hold at least one event of, and what each is (docs/health.md)."""

_PRODUCTION_COUNTS = {
    "kick": 500, "snare": 500, "rimshot": 80, "cross_stick": 60, "hihat_closed": 500, "hihat_open": 300,
    "hihat_pedal": 80, "hihat_foot_splash": 40, "ride_bow": 200, "ride_bell": 100, "crash": 200, "crash2": 200,
    "splash": 60, "china": 60, "tom_high": 150, "tom_mid": 150, "tom_low": 200, "aux_percussion": 60,
}  # fmt: skip


_PRODUCTION = Profile(
    min_counts=_PRODUCTION_COUNTS,
    required_techniques=tuple(TECHNIQUES),
    max_reject_rate=0.001,
    max_duplication_rate=0.005,
    max_unknown_labels=0,
    max_missing_rate=0.001,
    max_missing_rate_per_source=0.01,
    max_class_drop=0.25,
    max_drift_js=0.05,
    max_drift_linf=0.10,
    max_clipped_rate=0.05,
    max_offset_rate=0.02,
    max_silent_rate=0.02,
    max_misalignment_ms=10.0,
    max_misaligned_share=0.002,
)

PROFILES = {
    "production": _PRODUCTION,
    "demo": replace(
        _PRODUCTION,
        min_counts=dict.fromkeys(_PRODUCTION_COUNTS, 20),
        max_reject_rate=0.05,
        max_unknown_labels=2,
        max_missing_rate=0.03,
        max_missing_rate_per_source=0.06,
    ),
}
"""Profile -> its limits: the one place of their values. What each limit means stands in `settings.sections.Profile`."""


def profile_of(settings: GateSettings) -> Profile:
    """The profile that settings name, with their own values over it."""
    base = PROFILES[settings.profile]

    def over(name: str) -> Any:
        own = getattr(settings, name)
        if name == "max_reject_rate" and own is None:
            own = settings.max_missing_rate
        return getattr(base, name) if own is None else own

    names = [limit.name for limit in fields(Profile) if limit.name != "min_counts"]
    return Profile(min_counts={**base.min_counts, **settings.min_counts}, **{name: over(name) for name in names})

"""Limits of a corpus by name: the shipped profiles, and what settings put over them.

The `production` profile has the figures of the production set. The `demo` profile has the same gates for some thousand
hits with a few deliberate faults: it lets those through and nothing much worse.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from beatsight_core.settings import GateSettings

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


@dataclass(frozen=True, slots=True)
class Profile:
    """The limits of a kind of corpus. Rates are shares of events, 0..1.

    Attributes:
        min_counts: Core component -> least hits that hold it.
        required_techniques: Each in at least one event.
        max_reject_rate: Lines of the manifest that are refused, of those read. Settings that only say how many events
            may be without audio mean these, too: both are lost.
        max_duplication_rate: Events that repeat another.
        max_unknown_labels: Labels that the taxonomy lacks, rejected lines included.
        max_missing_rate: Events whose audio is missing, unreadable, or ends before them.
        max_missing_rate_per_source: The same of each source set.
        max_class_drop: Share of its hits that a class may lose against the baseline.
        max_drift_js: Jensen-Shannon divergence of a source set's classes from the baseline's, in bits.
        max_drift_linf: Change of one class's share in a source set since the baseline.
        max_clipped_rate: Clips of a source set with a run of samples at full scale.
        max_offset_rate: Clips of a source set whose median sample is not zero.
        max_silent_rate: Clips of a source set that have a label and hardly sound.
        max_misalignment_ms: Middle of attack minus onset in a source set, late or early; and the same of each session.
        max_misaligned_share: Sessions of a source set beyond that, of those judged. No session of two recorded kits
            was: 233 of 237 were judged, all within 4 ms. So one of up to 500 is one too many.
    """

    min_counts: Mapping[str, int] = field(default_factory=lambda: dict(_PRODUCTION_COUNTS))
    required_techniques: tuple[str, ...] = tuple(TECHNIQUES)
    max_reject_rate: float = 0.001
    max_duplication_rate: float = 0.005
    max_unknown_labels: int = 0
    max_missing_rate: float = 0.001
    max_missing_rate_per_source: float = 0.01
    max_class_drop: float = 0.25
    max_drift_js: float = 0.05
    max_drift_linf: float = 0.10
    max_clipped_rate: float = 0.05
    max_offset_rate: float = 0.02
    max_silent_rate: float = 0.02
    max_misalignment_ms: float = 10.0
    max_misaligned_share: float = 0.002

    def to_json(self) -> dict[str, Any]:
        """As a report holds them."""
        return {**asdict(self), "required_techniques": list(self.required_techniques)}


PROFILES = {
    "production": Profile(),
    "demo": Profile(
        min_counts=dict.fromkeys(_PRODUCTION_COUNTS, 20),
        max_reject_rate=0.05,
        max_unknown_labels=2,
        max_missing_rate=0.03,
        max_missing_rate_per_source=0.06,
    ),
}


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

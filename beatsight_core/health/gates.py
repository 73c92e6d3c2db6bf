"""Health gates: limits over the figures of a corpus, each with its value, its margin, and what to do when it fails.

The `production` profile has the figures of the production set. The `demo` profile has the same gates for some thousand
hits with a few deliberate faults: it lets those through and nothing much worse.
"""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from beatsight_core.errors import SettingsError
from beatsight_core.pages.formats import shown
from beatsight_core.settings import GateSettings
from beatsight_core.taxonomy import Taxonomy, taxonomy_named

AT_LEAST, AT_MOST = "≥", "≤"

TECHNIQUES = ("hihat_bark", "metric_modulation", "variable_meter", "multi_cymbal_same_class")
"""Techniques that a corpus must hold at least one event of."""

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
        max_misalignment_ms: Middle of attack minus onset in a source set, late or early.
    """

    min_counts: Mapping[str, int] = field(default_factory=lambda: dict(_PRODUCTION_COUNTS))
    required_techniques: tuple[str, ...] = TECHNIQUES
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

    def to_json(self) -> dict[str, Any]:
        """As a report holds them."""
        return {**asdict(self), "required_techniques": list(self.required_techniques)}


PROFILES = {
    "production": Profile(),
    "demo": Profile(
        min_counts=dict.fromkeys(_PRODUCTION_COUNTS, 20),
        max_unknown_labels=2,
        max_missing_rate=0.03,
        max_missing_rate_per_source=0.06,
    ),
}


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit and what was measured against it.

    Attributes:
        name: What is held to it.
        group: counts, techniques, labels, audio, sound, reconciliation, leakage or baseline.
        value: What was measured; None where nothing could be, which fails.
        limit: What it is held against.
        sign: Which side of the limit is good.
        format: How value and limit are written, a name in `pages.formats.FORMATS`.
        message: The finding in words; for a failed gate also what to do.
    """

    name: str
    group: str
    value: float | None
    limit: float
    sign: str
    format: str
    message: str

    @property
    def margin(self) -> float | None:
        """How far the value is on the good side of its limit; negative where it fails."""
        if self.value is None:
            return None
        return self.value - self.limit if self.sign == AT_LEAST else self.limit - self.value

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        return self.margin is not None and self.margin >= 0

    def to_json(self) -> dict[str, Any]:
        """With margin and verdict."""
        return {**asdict(self), "margin": self.margin, "passed": self.passed}


def evaluate_gates(statistics: Mapping[str, Any], settings: GateSettings) -> list[Gate]:
    """Hold the figures of a corpus against its limits.

    Args:
        statistics: As `statistics.statistics` gives them.
        settings: The profile, and what is set over it.

    Raises:
        SettingsError: A minimum is set for a component that the taxonomy lacks.
    """
    limits = profile_of(settings)
    return [
        *_count_gates(statistics, limits, settings),
        *_technique_gates(statistics, limits),
        *_label_gates(statistics, limits),
        *_audio_gates(statistics, limits),
        *_export_gates(statistics, limits),
        *_reconciliation_gates(statistics),
        *_leakage_gates(statistics),
    ]


def profile_of(settings: GateSettings) -> Profile:
    """The profile that settings name, with their own values over it."""
    base = PROFILES[settings.profile]

    def over(name: str) -> Any:
        own = getattr(settings, name)
        return getattr(base, name) if own is None else own

    names = [limit.name for limit in fields(Profile) if limit.name != "min_counts"]
    return Profile(min_counts={**base.min_counts, **settings.min_counts}, **{name: over(name) for name in names})


def at_least(name: str, group: str, value: float, limit: float, **texts: str) -> Gate:
    """A gate that wants `limit` or more."""
    return _gate(name, group, value, limit, AT_LEAST, texts)


def at_most(name: str, group: str, value: float | None, limit: float, **texts: str) -> Gate:
    """A gate that wants `limit` or less."""
    return _gate(name, group, value, limit, AT_MOST, texts)


def _gate(name: str, group: str, value: float | None, limit: float, sign: str, texts: Mapping[str, str]) -> Gate:
    """`texts` may hold `format`, `found` (what is the case) and `do` (what helps when it fails)."""
    kind = texts.get("format", "count")
    found = texts.get("found", f"{shown(value, kind)}, limit {shown(limit, kind)}")
    gate = Gate(name, group, value, limit, sign, kind, found)
    message = found if gate.passed or "do" not in texts else f"{found}: {texts['do']}"
    return Gate(name, group, value, limit, sign, kind, message)


def _count_gates(statistics: Mapping[str, Any], limits: Profile, settings: GateSettings) -> list[Gate]:
    taxonomy = taxonomy_named(statistics["taxonomy"])
    classes = {label: counted["hits"] for label, counted in statistics["hits"]["classes"].items()}
    if statistics["export"]:  # hits without a clip teach nothing
        classes = dict.fromkeys(classes, 0) | statistics["export"]["classes"]
    gates = []
    for label, least in _canonical_counts(taxonomy, limits.min_counts, settings.min_counts).items():
        hits = classes[label]
        gates.append(
            at_least(
                f"hits with {label}", "counts", hits, least,
                found=f"{shown(hits, 'count')} of at least {shown(least, 'count')} hits hold {label}",
                do=f"add performances that use it, or set gates.min_counts.{label} in beatsight.toml",
            )
        )  # fmt: skip
    return gates


def _canonical_counts(taxonomy: Taxonomy, counts: Mapping[str, int], own: Mapping[str, int]) -> dict[str, int]:
    """Minimum counts by this taxonomy's names, in class order; what a profile names beside it does not concern it."""
    for label in own:
        if taxonomy.resolve(label) is None:
            close = difflib.get_close_matches(label, taxonomy.canonical, 1)
            raise SettingsError(
                f"gates.min_counts names {label!r}, which the taxonomy {taxonomy.name!r} lacks",
                do=f"write {close[0]}" if close else f"use one of {', '.join(taxonomy.components)}",
            )
    named = {taxonomy.resolve(label): least for label, least in counts.items()}
    named |= {taxonomy.resolve(label): least for label, least in own.items()}
    return {label: named[label] for label in taxonomy.components if label in named}


def _technique_gates(statistics: Mapping[str, Any], limits: Profile) -> list[Gate]:
    found = statistics["events"]["techniques"]
    return [
        at_least(
            f"events with technique {name}", "techniques", found.get(name, 0), 1,
            found=f"{shown(found.get(name, 0), 'count')} events are marked {name}",
            do="add sources that hold it, or mark the events that do in their field techniques",
        )
        for name in limits.required_techniques
    ]  # fmt: skip


def _label_gates(statistics: Mapping[str, Any], limits: Profile) -> list[Gate]:
    unknown = statistics["unknown_labels"]
    names = ", ".join(list(unknown)[:5])
    repeated = statistics["duplicates"]
    return [
        at_most(
            "duplicated events", "labels", repeated["rate"], limits.max_duplication_rate, format="share",
            found=f"{shown(repeated['events'], 'count')} events repeat session, onset and components of another",
            do="leave repeated sessions out of the manifest; the report lists the worst",
        ),
        at_most(
            "unknown labels", "labels", sum(unknown.values()), limits.max_unknown_labels,
            found=f"The taxonomy lacks {names}" if unknown else "Every label is known",
            do="map them to components, or set unknown_labels = \"ignore\" for their source set",
        ),
    ]  # fmt: skip


def _audio_gates(statistics: Mapping[str, Any], limits: Profile) -> list[Gate]:
    audio = statistics["audio"]
    if audio is None:
        return [at_most("events without usable audio", "audio", None, limits.max_missing_rate, format="share",
                        found="The audio was not looked for", do="build the audio inventory")]  # fmt: skip
    whole = _audio_gate("events without usable audio", audio, limits.max_missing_rate)
    return [whole] + [
        _audio_gate(f"events of {name} without usable audio", source, limits.max_missing_rate_per_source)
        for name, source in audio["by_source"].items()
    ]


def _audio_gate(name: str, audio: Mapping[str, Any], limit: float) -> Gate:
    missing, unreadable, past = audio["missing_events"], audio["unreadable_events"], audio["events_past_end"]
    rate = (missing + unreadable + past) / audio["events"] if audio["events"] else 0.0
    return at_most(
        name, "audio", rate, limit, format="share",
        found=f"{shown(missing, 'count')} events lack their file, {shown(unreadable, 'count')} have one that cannot be "
        f"read, {shown(past, 'count')} begin after its end",
        do="mount the drive or mend the files that the report lists, then run this again",
    )  # fmt: skip


def _export_gates(statistics: Mapping[str, Any], limits: Profile) -> list[Gate]:
    """Only decoding shows that a file ends before its header says: a hit without a clip counts like a missing one."""
    export = statistics["export"]
    if export is None:
        return []
    whole = _export_gate("hits without a clip", export, limits.max_missing_rate)
    return [whole] + [
        _export_gate(f"hits of {name} without a clip", source, limits.max_missing_rate_per_source)
        for name, source in export["by_source"].items()
    ]


def _export_gate(name: str, export: Mapping[str, Any], limit: float) -> Gate:
    lost = sum(export["rejected"].values())
    asked = export["hits"] + lost
    reasons = ", ".join(f"{reason} {shown(hits, 'count')}" for reason, hits in export["rejected"].items() if hits)
    return at_most(
        name, "audio", lost / asked if asked else 0.0, limit, format="share",
        found=f"{shown(lost, 'count')} of {shown(asked, 'count')} hits have no clip{reasons and f' ({reasons})'}",
        do="mend the files that the report lists and export again",
    )  # fmt: skip


def _reconciliation_gates(statistics: Mapping[str, Any]) -> list[Gate]:
    return [
        at_most(
            check["name"], "reconciliation", check["gap"], 0,
            found=f"{shown(check['expected'], 'count')} expected, {shown(check['found'], 'count')} found",
            do="delete what is at fault (the catalog's folder, or the dataset's index) and make it again",
        )
        for check in statistics["reconciliation"]
    ]  # fmt: skip


def _leakage_gates(statistics: Mapping[str, Any]) -> list[Gate]:
    return [
        at_most(
            f"{name} in more than one split", "leakage", statistics["leakage"][key]["across"], 0,
            found=f"{shown(statistics['leakage'][key]['across'], 'count')} {name} are in more than one split",
            do="make the catalog again; if it stays so, give these sessions one session_id",
        )
        for name, key in (("sessions", "sessions"), ("audio files", "audio"))
    ]  # fmt: skip

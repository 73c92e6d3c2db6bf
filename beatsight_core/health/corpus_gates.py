"""Health gates: limits over the figures of a corpus, each with its value, its margin, and what to do when it fails.

Everything here follows from the figures alone, so that a report can be judged once more. What a baseline makes possible
is in `compare_baseline.py` and `drift.py`.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from beatsight_core.errors import SettingsError
from beatsight_core.gates.corpus_limits import PROFILES, TECHNIQUES, Profile, profile_of
from beatsight_core.gates.gate import Gate, at_least, at_most
from beatsight_core.health.reject_gate import reject_gate
from beatsight_core.health.sound_gates import sound_gates
from beatsight_core.pages.formats import shown
from beatsight_core.settings import GateSettings
from beatsight_core.taxonomy import Taxonomy, taxonomy_named

__all__ = ["PROFILES", "Gate", "Profile", "at_least", "at_most", "evaluate_gates", "profile_of"]


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
        reject_gate(statistics["rejects"], limits.max_reject_rate),
        *_count_gates(statistics, limits, settings),
        *_technique_gates(statistics, limits),
        *_label_gates(statistics, limits),
        *_audio_gates(statistics, limits),
        *_export_gates(statistics, limits),
        *sound_gates(statistics, limits),
        *_reconciliation_gates(statistics),
        *_leakage_gates(statistics),
    ]


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
                f"hits with {label}", "counts", hits, least, setting=f"gates.min_counts.{label}",
                found=f"{shown(hits, 'count')} of at least {shown(least, 'count')} hits hold {label}",
                do="add performances that use it",
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
            f"events with technique {name}", "techniques", found.get(name, 0), 1, setting="gates.required_techniques",
            found=f"{shown(found.get(name, 0), 'count')} events are marked {name}{_meant_by(name)}",
            do="add sources that hold it, or mark the events that do in their field techniques (docs/health.md)",
        )
        for name in limits.required_techniques
    ]  # fmt: skip


def _meant_by(technique: str) -> str:
    """What a technique is, in brackets; nothing for one that somebody named himself."""
    return f" ({TECHNIQUES[technique]})" if technique in TECHNIQUES else ""


def _label_gates(statistics: Mapping[str, Any], limits: Profile) -> list[Gate]:
    unknown = statistics["unknown_labels"]
    names = ", ".join(list(unknown)[:5])
    repeated = statistics["duplicates"]
    return [
        at_most(
            "duplicated events", "labels", repeated["rate"], limits.max_duplication_rate, format="share",
            setting="gates.max_duplication_rate",
            found=f"{shown(repeated['events'], 'count')} events repeat session, onset and components of another",
            do="leave repeated sessions out of the manifest; the report lists the worst",
        ),
        at_most(
            "unknown labels", "labels", sum(unknown.values()), limits.max_unknown_labels,
            setting="gates.max_unknown_labels",
            found=f"The taxonomy lacks {names}" if unknown else "Every label is known",
            do="map them to components, or set unknown_labels = \"ignore\" for their source set",
        ),
    ]  # fmt: skip


def _audio_gates(statistics: Mapping[str, Any], limits: Profile) -> list[Gate]:
    audio = statistics["audio"]
    if audio is None:
        return [at_most("events without usable audio", "audio", None, limits.max_missing_rate, format="share",
                        setting="gates.max_missing_rate", found="The audio was not looked for",
                        do="build the audio inventory")]  # fmt: skip
    return [
        _audio_gate("events without usable audio", audio, limits, "max_missing_rate"),
        *(
            _audio_gate(f"events of {name} without usable audio", source, limits, "max_missing_rate_per_source")
            for name, source in audio["by_source"].items()
        ),
    ]


def _audio_gate(name: str, audio: Mapping[str, Any], limits: Profile, limit: str) -> Gate:
    """A gate whose limit has that name in the profile and in the settings."""
    missing, unreadable, past = audio["missing_events"], audio["unreadable_events"], audio["events_past_end"]
    rate = (missing + unreadable + past) / audio["events"] if audio["events"] else 0.0
    return at_most(
        name, "audio", rate, getattr(limits, limit), format="share", setting=f"gates.{limit}",
        found=f"{shown(missing, 'count')} events lack their file, {shown(unreadable, 'count')} have one that cannot be "
        f"read, {shown(past, 'count')} begin after its end",
        do="mount the drive or mend the files that the report lists, then run this again",
    )  # fmt: skip


def _export_gates(statistics: Mapping[str, Any], limits: Profile) -> list[Gate]:
    """Only decoding shows that a file ends before its header says: a hit without a clip counts like a missing one."""
    export = statistics["export"]
    if export is None:
        return []
    return [
        _export_gate("hits without a clip", export, limits, "max_missing_rate"),
        *(
            _export_gate(f"hits of {name} without a clip", source, limits, "max_missing_rate_per_source")
            for name, source in export["by_source"].items()
        ),
    ]


def _export_gate(name: str, export: Mapping[str, Any], limits: Profile, limit: str) -> Gate:
    lost = sum(export["rejected"].values())
    asked = export["hits"] + lost
    reasons = ", ".join(f"{reason} {shown(hits, 'count')}" for reason, hits in export["rejected"].items() if hits)
    return at_most(
        name, "audio", lost / asked if asked else 0.0, getattr(limits, limit), format="share",
        setting=f"gates.{limit}",
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

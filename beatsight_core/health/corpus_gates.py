"""Health gates: limits over the figures of a corpus, each with its value, its margin, and what to do when it fails.

Everything here follows from the figures alone, so that a report can be judged once more. What a baseline makes possible
is in `compare_baseline.py` and `drift.py`.
"""

import difflib
from collections.abc import Mapping

from beatsight_core.audio.inventory_figures import AudioCounts
from beatsight_core.errors import SettingsError
from beatsight_core.gates.corpus_limits import TECHNIQUES, Profile, profile_of
from beatsight_core.gates.gate import Gate, at_least, at_most
from beatsight_core.health.figures.export_figures import ExportFigures, SourceExport
from beatsight_core.health.figures.statistics import CorpusFigures
from beatsight_core.health.reject_gate import reject_gate
from beatsight_core.health.sound_gates import sound_gates
from beatsight_core.pages.formats import shown
from beatsight_core.settings import GateSettings
from beatsight_core.taxonomy import Taxonomy, taxonomy_named


def evaluate_gates(figures: CorpusFigures, settings: GateSettings) -> list[Gate]:
    """Hold the figures of a corpus against its limits.

    Args:
        figures: Figures of the corpus.
        settings: Profile, and what is set over it.

    Raises:
        SettingsError: A minimum is set for a component that the taxonomy lacks.
    """
    limits = profile_of(settings)
    return [
        reject_gate(figures.rejects, limits.max_reject_rate),
        *_count_gates(figures, limits, settings),
        *_technique_gates(figures, limits),
        *_label_gates(figures, limits),
        *_audio_gates(figures, limits),
        *_export_gates(figures, limits),
        *sound_gates(figures, limits),
        *_reconciliation_gates(figures),
        *_leakage_gates(figures),
    ]


def _count_gates(figures: CorpusFigures, limits: Profile, settings: GateSettings) -> list[Gate]:
    taxonomy = taxonomy_named(figures.taxonomy)
    classes = {label: counted.hits for label, counted in figures.hits.classes.items()}
    if figures.export:  # hits without a clip teach nothing
        classes = {**dict.fromkeys(classes, 0), **figures.export.classes}
    gates = []
    for label, least in _canonical_counts(taxonomy, limits.min_counts, settings.min_counts).items():
        hits = classes[label]
        gates.append(
            Gate(
                f"hits with {label}", hits, at_least(least), group="counts", setting=f"gates.min_counts.{label}",
                found=f"{shown(hits, 'count')} of at least {shown(least, 'count')} hits hold {label}",
                do="add performances that use it",
            )
        )  # fmt: skip
    return gates


def _canonical_counts(taxonomy: Taxonomy, counts: Mapping[str, int], own: Mapping[str, int]) -> dict[str, int]:
    """Return minimum counts by this taxonomy's names, in class order; others that a profile names are left out."""
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


def _technique_gates(figures: CorpusFigures, limits: Profile) -> list[Gate]:
    found = figures.events.techniques
    return [
        Gate(
            f"events with technique {name}", found.get(name, 0), at_least(1),
            group="techniques", setting="gates.required_techniques",
            found=f"{shown(found.get(name, 0), 'count')} events are marked {name}{_meant_by(name)}",
            do="add sources that hold it, or mark the events that do in their field techniques (docs/health.md)",
        )
        for name in limits.required_techniques
    ]  # fmt: skip


def _meant_by(technique: str) -> str:
    """Return what a technique is, in brackets; nothing for one that somebody named himself."""
    return f" ({TECHNIQUES[technique]})" if technique in TECHNIQUES else ""


def _label_gates(figures: CorpusFigures, limits: Profile) -> list[Gate]:
    unknown = figures.unknown_labels
    names = ", ".join(list(unknown)[:5])
    repeated = figures.duplicates
    return [
        Gate(
            "duplicated events", repeated.rate, at_most(limits.max_duplication_rate), group="labels", format="share",
            setting="gates.max_duplication_rate",
            found=f"{shown(repeated.events, 'count')} events repeat session, onset and components of another",
            do="leave repeated sessions out of the manifest; the report lists the worst",
        ),
        Gate(
            "unknown labels", sum(unknown.values()), at_most(limits.max_unknown_labels), group="labels",
            setting="gates.max_unknown_labels",
            found=f"The taxonomy lacks {names}" if unknown else "Every label is known",
            do="map them to components, or set unknown_labels = \"ignore\" for their source set",
        ),
    ]  # fmt: skip


def _audio_gates(figures: CorpusFigures, limits: Profile) -> list[Gate]:
    audio = figures.audio
    if audio is None:
        return [
            Gate(
                "events without usable audio", None, at_most(limits.max_missing_rate), group="audio", format="share",
                setting="gates.max_missing_rate", found="The audio was not looked for", do="build the audio inventory",
            )
        ]  # fmt: skip
    return [
        _audio_gate("events without usable audio", audio, limits, "max_missing_rate"),
        *(
            _audio_gate(f"events of {name} without usable audio", source, limits, "max_missing_rate_per_source")
            for name, source in audio.by_source.items()
        ),
    ]


def _audio_gate(name: str, audio: AudioCounts, limits: Profile, limit: str) -> Gate:
    """Return a gate whose limit has that name in the profile and in the settings."""
    rate = audio.lost_events / audio.events if audio.events else 0.0
    return Gate(
        name, rate, at_most(getattr(limits, limit)), group="audio", format="share", setting=f"gates.{limit}",
        found=f"{shown(audio.missing_events, 'count')} events lack their file, "
        f"{shown(audio.unreadable_events, 'count')} have one that cannot be read, "
        f"{shown(audio.events_past_end, 'count')} begin after its end",
        do="mount the drive or mend the files that the report lists, then run this again",
    )  # fmt: skip


def _export_gates(figures: CorpusFigures, limits: Profile) -> list[Gate]:
    """Hold hits without a clip against the limits of missing audio.

    Only decoding shows that a file ends before its header says, so a hit without a clip counts like a missing one.
    """
    export = figures.export
    if export is None:
        return []
    return [
        _export_gate("hits without a clip", export, limits, "max_missing_rate"),
        *(
            _export_gate(f"hits of {name} without a clip", source, limits, "max_missing_rate_per_source")
            for name, source in export.by_source.items()
        ),
    ]


def _export_gate(name: str, export: ExportFigures | SourceExport, limits: Profile, limit: str) -> Gate:
    lost = sum(export.rejected.values())
    asked = export.hits + lost
    reasons = ", ".join(f"{reason} {shown(hits, 'count')}" for reason, hits in export.rejected.items() if hits)
    return Gate(
        name, lost / asked if asked else 0.0, at_most(getattr(limits, limit)), group="audio", format="share",
        setting=f"gates.{limit}",
        found=f"{shown(lost, 'count')} of {shown(asked, 'count')} hits have no clip{reasons and f' ({reasons})'}",
        do="mend the files that the report lists and export again",
    )  # fmt: skip


def _reconciliation_gates(figures: CorpusFigures) -> list[Gate]:
    return [
        Gate(
            check.name, check.gap, at_most(0), group="reconciliation",
            found=f"{shown(check.expected, 'count')} expected, {shown(check.found, 'count')} found",
            do="delete what is at fault (the catalog's folder, or the dataset's index) and make it again",
        )
        for check in figures.reconciliation
    ]  # fmt: skip


def _leakage_gates(figures: CorpusFigures) -> list[Gate]:
    return [
        Gate(
            f"{name} in more than one split", crossing.across, at_most(0), group="leakage",
            found=f"{shown(crossing.across, 'count')} {name} are in more than one split",
            do="make the catalog again; if it stays so, give these sessions one session_id",
        )
        for name, crossing in (("sessions", figures.leakage.sessions), ("audio files", figures.leakage.audio))
    ]  # fmt: skip

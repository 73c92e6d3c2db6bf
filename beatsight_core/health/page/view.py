"""A report's figures in the shapes that the page draws: rows for bars and tables, tiles, edges as text.

A figure that needs no other shape is not here: the template takes it from `report.statistics`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beatsight_core.audio.inventory_figures import AudioFigures
from beatsight_core.gates.corpus_limits import Profile
from beatsight_core.gates.gate import Gate, WrittenGate, written
from beatsight_core.health.drift import SourceDrift
from beatsight_core.health.figures.event_figures import EventFigures
from beatsight_core.health.figures.export_figures import ExportFigures
from beatsight_core.health.figures.hit_figures import HitFigures
from beatsight_core.health.figures.leakage import Leakage
from beatsight_core.health.figures.split_balance import SPLITS
from beatsight_core.health.figures.statistics import CorpusFigures
from beatsight_core.health.page.lists import ReportList
from beatsight_core.health.page.view_shapes import Bar, HeatTable, StackedBar, Tile, bars, share, short, stacked
from beatsight_core.health.page.view_sources import SourceView, source_view
from beatsight_core.health.report_content import HealthReport
from beatsight_core.pages.formats import count, duration, shown
from beatsight_core.typed_json import JsonObject, to_json

_GROUPS = {
    "rejects": "Refused lines",
    "counts": "Hits of each class", "techniques": "Techniques", "labels": "Labels and duplicates", "audio": "Audio",
    "sound": "How clips sound", "reconciliation": "Numbers that must agree", "leakage": "Leakage",
    "baseline": "Against the baseline",
}  # fmt: skip
_WHEREABOUTS = {
    "in_clips": "events in clips", "with_audio": "events with audio", "refused": "lines refused",
    "missing_audio": "their file is missing", "unreadable_audio": "their file cannot be read",
    "truncated_audio": "their file breaks off", "past_end": "beyond the end of their file",
    "silent_audio": "nothing sounds", "opposite_polarity": "their file's channels cancel each other",
    "not_exported": "not exported",
}  # fmt: skip
_KNOWN_BUCKETS = ("ghost", "light", "medium", "accent")


@dataclass(frozen=True, slots=True)
class GateGroup:
    """Passed gates of one part of a report.

    Attributes:
        title: Name of the part.
        gates: Gates as people read them.
    """

    title: str
    gates: tuple[WrittenGate, ...]


@dataclass(frozen=True, slots=True)
class ListTable:
    """The first lines of a list as a table.

    Attributes:
        entry: List that they are from.
        columns: Columns as the lines name them.
    """

    entry: ReportList
    columns: list[JsonObject]


@dataclass(frozen=True, slots=True)
class HealthView:
    """What the template needs beside the report itself.

    Attributes:
        tiles: Headline figures.
        failed: Failed gates.
        passed_groups: Passed gates by part.
        class_rows: Figures of each class.
        class_bars: Hits of each class by split.
        class_sources: Per cent of a source set's hits that hold each class.
        pairs: Hits that hold two classes, of those that occur.
        dynamic_bars: Strokes of each class by dynamic bucket.
        component_bars: Hits by number of components.
        gap_edges: Edges of the gaps as text.
        source_rows: Figures of each source set.
        source_bars: Length of each source set's clips by split.
        technique_bars: Events by technique.
        bleed_bars: Events by bleed.
        mix_bars: Events by kind of mix.
        reject_bars: Refused lines by reason.
        unknown_bars: Labels that the taxonomy lacks.
        split_rows: Figures of each split.
        leakage_rows: Origins on both sides of the split.
        audio_rows: Audio of each source set.
        copy_rows: Files of one content.
        export_rows: Clips of each source set.
        whereabouts_bars: Lines of the manifest by what they came to.
        list_tables: Lists beside the report.
        drift_rows: Drift of each source set since the baseline.
        reconciliation_rows: Counts that must agree.
        sources: View of each source set beside the others.
    """

    tiles: list[Tile]
    failed: list[WrittenGate]
    passed_groups: list[GateGroup]
    class_rows: list[JsonObject]
    class_bars: list[StackedBar]
    class_sources: HeatTable
    pairs: HeatTable
    dynamic_bars: list[StackedBar]
    component_bars: list[Bar]
    gap_edges: list[str]
    source_rows: list[JsonObject]
    source_bars: list[StackedBar]
    technique_bars: list[Bar]
    bleed_bars: list[Bar]
    mix_bars: list[Bar]
    reject_bars: list[Bar]
    unknown_bars: list[Bar]
    split_rows: list[JsonObject]
    leakage_rows: list[JsonObject]
    audio_rows: list[JsonObject]
    copy_rows: list[JsonObject]
    export_rows: list[JsonObject]
    whereabouts_bars: list[Bar]
    list_tables: list[ListTable]
    drift_rows: list[JsonObject]
    reconciliation_rows: list[JsonObject]
    sources: SourceView


def health_view(report: HealthReport) -> HealthView:
    """Return what the template needs beside the report itself."""
    figures = report.statistics
    events, hits = figures.events, figures.hits
    return HealthView(
        tiles=_tiles(figures),
        failed=[written(gate) for gate in report.failed],
        passed_groups=_passed_groups(report.gates),
        class_rows=_class_rows(events, hits),
        class_bars=[StackedBar(label, counts.by_split, counts.hits) for label, counts in hits.classes.items()],
        class_sources=_class_sources(hits),
        pairs=_pairs(hits),
        dynamic_bars=[stacked(label, _known(buckets)) for label, buckets in events.dynamics.items()],
        component_bars=[Bar(_components(number), value) for number, value in hits.components_per_hit.items()],
        gap_edges=[*(shown(edge, "duration") for edge in hits.gaps.edges[:-1]), "more"],
        source_rows=_source_rows(events, hits),
        source_bars=[stacked(source, seconds) for source, seconds in hits.seconds_by_source.items()],
        technique_bars=bars(events.techniques),
        bleed_bars=bars(events.bleed_level),
        mix_bars=bars(events.mix_context),
        reject_bars=bars(figures.rejects.by_reason),
        unknown_bars=bars(figures.unknown_labels),
        split_rows=[{"split": name, **to_json(values)} for name, values in hits.splits.items()],
        leakage_rows=_leakage_rows(figures.leakage),
        audio_rows=_audio_rows(figures.audio),
        copy_rows=_copy_rows(figures.audio),
        export_rows=_export_rows(figures.export),
        whereabouts_bars=_whereabouts(figures.whereabouts or {}),
        list_tables=[_list_table(entry) for entry in report.lists],
        drift_rows=[_drift_row(row, report.limits) for row in report.drift],
        reconciliation_rows=[
            {**to_json(check), "state": "fail" if check.gap else "pass"} for check in figures.reconciliation
        ],
        sources=source_view(figures, report.limits),
    )


def _tiles(figures: CorpusFigures) -> list[Tile]:
    totals, audio = figures.totals, figures.audio
    lost = audio.lost_events if audio else None
    synthetic = share(totals.synthetic_hits, totals.hits)
    without = shown(share(lost or 0, totals.events), "share") if audio else "not looked for"
    return [
        Tile("Hits", count(totals.hits), f"from {count(totals.events)} events"),
        Tile("Clips exported", shown(totals.exported_hits, "count"), f"{duration(totals.clip_seconds)} if all are"),
        Tile("Sessions", count(totals.sessions), f"{count(totals.files)} files of {count(totals.sources)} source sets"),
        Tile("Synthetic", shown(synthetic, "share"), f"{count(totals.real_hits)} real hits"),
        Tile("Simultaneous", shown(totals.simultaneous_rate, "share"), "hits with two or more components"),
        Tile(
            "Repeated events", count(totals.duplicates), f"{shown(totals.duplication_rate, 'share')} of all",
            "warn" if totals.duplicates else None,
        ),
        Tile(
            "Lines rejected", count(totals.rejected), f"of {count(totals.read)} read",
            "warn" if totals.rejected else None,
        ),
        Tile("Events without audio", shown(lost, "count"), without, "warn" if lost else None),
    ]  # fmt: skip


def _passed_groups(gates: Sequence[Gate]) -> list[GateGroup]:
    """Return passed gates by group, in the order of `_GROUPS`."""
    passed = [gate for gate in gates if gate.passed]
    groups = [
        GateGroup(title, tuple(written(gate) for gate in passed if gate.group == group))
        for group, title in _GROUPS.items()
    ]
    return [group for group in groups if group.gates]


def _class_rows(events: EventFigures, hits: HitFigures) -> list[JsonObject]:
    return [
        {
            "label": label,
            "events": events.events_by_label.get(label, 0),
            "hits": counts.hits,
            "solo": counts.solo,
            "solo_share": share(counts.solo, counts.hits),
            **counts.by_split,
        }
        for label, counts in hits.classes.items()
    ]


def _class_sources(hits: HitFigures) -> HeatTable:
    """Return source set x class, in per cent of the source's hits: corpora of any size can be compared."""
    values: list[list[float | None]] = [
        [short(100 * share(counts.by_source.get(source, 0), number)) for counts in hits.classes.values()]
        for source, number in hits.hits_by_source.items()
    ]
    return HeatTable(list(hits.hits_by_source), list(hits.classes), values)


def _pairs(hits: HitFigures) -> HeatTable:
    """Return classes that occur, with the hits that hold two of them."""
    labels = list(hits.classes)
    there = [position for position, label in enumerate(labels) if hits.classes[label].hits]
    names = [labels[position] for position in there]
    return HeatTable(names, names, [[hits.pairs[row][column] for column in there] for row in there])


def _known(buckets: Mapping[str, int]) -> dict[str, int]:
    """Return strokes by the four dynamic buckets; those of other names count as not given."""
    known = {bucket: buckets[bucket] for bucket in _KNOWN_BUCKETS}
    return {**known, "unknown": sum(buckets.values()) - sum(known.values())}


def _components(number: str) -> str:
    return {"0": "none", "1": "one component"}.get(number, f"{number} components")


def _source_rows(events: EventFigures, hits: HitFigures) -> list[JsonObject]:
    return [
        {
            "source": source,
            "events": events.events_by_source.get(source, 0),
            "hits": number,
            "synthetic": share(events.synthetic_by_source.get(source, 0), events.events_by_source.get(source, 0)),
            "simultaneous": share(hits.simultaneous_by_source.get(source, 0), number),
            "licences": list(hits.licences.get(source, {})),
            **to_json(hits.sources[source]),
        }
        for source, number in hits.hits_by_source.items()
    ]


def _leakage_rows(found: Leakage) -> list[JsonObject]:
    return [{"what": name, **row} for name, row in to_json(found).items() if isinstance(row, dict)]


def _audio_rows(audio: AudioFigures | None) -> list[JsonObject]:
    if audio is None:
        return []
    return [
        {
            **to_json(source),
            "source": name,
            "rates": [f"{int(rate) / 1000:g} kHz" for rate in source.sample_rates],
            "channel_counts": list(source.channels),
        }
        for name, source in audio.by_source.items()
    ]


def _copy_rows(audio: AudioFigures | None) -> list[JsonObject]:
    groups = audio.duplicates.groups if audio else ()
    return [{"files": ", ".join(group.files), "events": group.events} for group in groups]


def _export_rows(export: ExportFigures | None) -> list[JsonObject]:
    if export is None:
        return []
    return [
        {
            "source": name,
            "hits": source.hits,
            "rejected_hits": sum(source.rejected.values()),
            "reasons": [f"{reason} {count(hits)}" for reason, hits in source.rejected.items() if hits],
            **{f"seconds_{split}": source.seconds_by_split.get(split, 0) for split in SPLITS},
            "shards": source.shards,
            "bytes": source.bytes,
        }
        for name, source in export.by_source.items()
    ]


def _whereabouts(went: Mapping[str, int]) -> list[Bar]:
    """Return what became of lines, the good first; what nothing came to is left out."""
    return [Bar(title, went[name]) for name, title in _WHEREABOUTS.items() if went.get(name)]


def _list_table(entry: ReportList) -> ListTable:
    keys = dict.fromkeys(key for line in entry.head for key in line)
    return ListTable(entry, [{"key": key, "title": key.replace("_", " ")} for key in keys])


def _drift_row(row: SourceDrift, limits: Profile) -> JsonObject:
    """Return a row whose verdict is that of the gates.

    The whole corpus is not judged; a source set that is gone fails.
    """
    points = None if row.change is None else 100 * row.change
    return {
        **row.to_json(),
        "source": row.source or "all of them",
        "points": points,
        "state": _drift_state(row, limits),
    }


def _drift_state(row: SourceDrift, limits: Profile) -> str:
    if row.source is None:
        return "info"
    if row.js is None or row.linf is None:
        return "fail" if row.before and not row.after else "info"
    return "pass" if row.js <= limits.max_drift_js and row.linf <= limits.max_drift_linf else "fail"

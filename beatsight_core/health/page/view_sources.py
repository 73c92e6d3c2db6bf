"""What the page shows of each source set: its part in every class, its splits, gaps, levels, and how it sounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from beatsight_core.gates.corpus_limits import Profile
from beatsight_core.health.figures.event_figures import Histogram
from beatsight_core.health.figures.export_figures import ExportFigures
from beatsight_core.health.figures.hit_figures import ClassFigures, HitFigures
from beatsight_core.health.figures.near_duplicates import ClipPlace, NearCounts
from beatsight_core.health.figures.session_figures import OutOfTime
from beatsight_core.health.figures.sound_figures import SoundFigures
from beatsight_core.health.figures.split_balance import ClassBalance
from beatsight_core.health.figures.statistics import CorpusFigures
from beatsight_core.health.page.view_shapes import BarPart, HeatTable, StackedBar, share, short
from beatsight_core.pages.formats import shown
from beatsight_core.typed_json import JsonObject, to_json

TONES = ("tone-1", "tone-2", "tone-3", "tone-4", "tone-5", "tone-6")
_REST = ""
"""Key of the others: no source set has an empty name."""

LISTED = 20
"""Rows of the table of splits, those furthest from the share that should validate; and of sessions out of time."""


@dataclass(frozen=True, slots=True)
class SourceView:
    """What the template needs of source sets.

    Attributes:
        parts: Largest source sets, and the others together.
        class_bars: Hits of each class by source set.
        balance: Per cent of hits that validate, by source set and class.
        balance_rows: Classes of source sets that are furthest from the share that should validate.
        gaps: Time to the hit before, in per cent of a source set's hits.
        peaks: Peak level, in per cent of a source set's clips.
        rms: Mean level, in per cent of a source set's clips.
        sound_rows: Sound of each source set.
        near_rows: Near duplicates on both sides of the split.
        out_rows: Recordings out of time.
    """

    parts: list[BarPart]
    class_bars: list[StackedBar]
    balance: HeatTable
    balance_rows: list[JsonObject]
    gaps: HeatTable
    peaks: HeatTable
    rms: HeatTable
    sound_rows: list[JsonObject]
    near_rows: list[JsonObject]
    out_rows: list[JsonObject]


def source_view(figures: CorpusFigures, limits: Profile) -> SourceView:
    """Return what the template needs of source sets.

    Args:
        figures: Figures of the corpus.
        limits: Limits of its gates.
    """
    hits, levels = figures.hits, figures.export.levels.by_source if figures.export else {}
    parts = _parts(hits)
    return SourceView(
        parts=parts,
        class_bars=[_class_bar(label, counts, parts) for label, counts in hits.classes.items()],
        balance=_balance(hits),
        balance_rows=_furthest(hits.balance),
        gaps=_shares(hits.gaps_by_source, _gap_edges),
        peaks=_shares({name: source.peak for name, source in levels.items()}, _level_edges),
        rms=_shares({name: source.rms for name, source in levels.items()}, _level_edges),
        sound_rows=_sound_rows(figures.sound, figures.export),
        near_rows=_near_rows(figures.sound),
        out_rows=[_out_row(row) for row in figures.out_of_time(limits.max_misalignment_ms)[:LISTED]],
    )


def _parts(hits: HitFigures) -> list[BarPart]:
    """Return the largest source sets, one tone each, and the others together."""
    names = list(hits.hits_by_source)
    named = names if len(names) <= len(TONES) else names[: len(TONES) - 1]
    parts = [BarPart(name, name, tone) for name, tone in zip(named, TONES, strict=False)]
    others = BarPart(_REST, f"{len(names) - len(named)} others", "tone-none")
    return parts if len(named) == len(names) else [*parts, others]


def _class_bar(label: str, counts: ClassFigures, parts: Sequence[BarPart]) -> StackedBar:
    amounts = {part.key: counts.by_source.get(part.key, 0) for part in parts if part.key != _REST}
    rest = sum(counts.by_source.values()) - sum(amounts.values())
    return StackedBar(label, {**amounts, **({_REST: rest} if rest else {})}, counts.hits)


def _balance(hits: HitFigures) -> HeatTable:
    """Return source set x class: per cent of hits that validate; None where there is no hit."""
    validated = {(row.source, row.label): short(100 * row.val_share) for row in hits.balance}
    sources = list(hits.hits_by_source)
    classes = [label for label, counts in hits.classes.items() if counts.hits]
    return HeatTable(sources, classes, [[validated.get((source, label)) for label in classes] for source in sources])


def _furthest(rows: Sequence[ClassBalance]) -> list[JsonObject]:
    """Return rows by how many hits would have to change sides, most first."""
    ordered = sorted(rows, key=lambda row: -abs(row.deviation) * row.hits)
    return [{**to_json(row), "points": 100 * row.deviation} for row in ordered[:LISTED]]


def _shares(histograms: Mapping[str, Histogram], edges_of: Callable[[Sequence[float]], list[str]]) -> HeatTable:
    """Return source set x bin, in per cent of what was measured of the source set, without bins that nobody needs."""
    sources = [name for name, one in histograms.items() if sum(one.counts)]
    if not sources:
        return HeatTable([], [], [])
    bins = edges_of(histograms[sources[0]].edges)
    used = [place for place in range(len(bins)) if any(histograms[name].counts[place] for name in sources)]
    kept = range(used[0], used[-1] + 1)
    return HeatTable(
        rows=sources,
        columns=[bins[place] for place in kept],
        values=[
            [short(100 * histograms[name].counts[place] / sum(histograms[name].counts)) for place in kept]
            for name in sources
        ],
    )


def _gap_edges(edges: Sequence[float]) -> list[str]:
    return [f"from {shown(edge, 'duration')}" for edge in edges[:-1]]


def _level_edges(edges: Sequence[float]) -> list[str]:
    return [f"from {shown(edge, 'number')}" for edge in edges[:-1]]


def _sound_rows(sound: SoundFigures | None, export: ExportFigures | None) -> list[JsonObject]:
    if sound is None or export is None:
        return []
    rows: list[JsonObject] = []
    for name, source in sound.by_source.items():
        aligned, near = source.alignment, sound.near_duplicates.by_source.get(name, NearCounts(0, 0))
        levels = export.levels.by_source.get(name)
        rows.append(
            {
                "source": name,
                "measured": source.measured,
                "quartiles": _span(aligned.low_ms, aligned.high_ms),
                "strokes": aligned.strokes,
                "median_ms": aligned.median_ms,
                "counts": list(aligned.counts),
                "edges": list(aligned.edges),
                "clipped_share": share(source.clipped, source.measured),
                "offset_share": share(source.offset, source.measured),
                "silent_share": share(levels.silent, levels.labelled) if levels else 0.0,
                "near_share": share(near.near, near.compared),
                "judged": source.sessions.judged,
                "unjudged": source.sessions.unjudged,
            }
        )
    return rows


def _out_row(row: OutOfTime) -> JsonObject:
    """Return a recording that is out of time; a drift as its first and last distance."""
    told = " to ".join(shown(end, "tenths") for end in row.ends_ms)
    return {**row.to_json(), "told": told or shown(None, "tenths")}


def _span(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{shown(low, 'tenths')} to {shown(high, 'tenths')}"


def _near_rows(sound: SoundFigures | None) -> list[JsonObject]:
    if sound is None:
        return []
    return [
        {"val": _place(pair.val), "training": _place(pair.training), "distance_db": pair.distance_db}
        for pair in sound.near_duplicates.examples
    ]


def _place(clip: ClipPlace) -> str:
    return f"{clip.session_id} · {clip.audio_path} · {clip.onset_time:.3f} s"

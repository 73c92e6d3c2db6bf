"""The figures of a corpus: what was asked for, what is there, and whether the two agree.

The scans of both tables run together in one pass over each; the figures are taken from their small results.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from beatsight_core.audio.inventory import Inventory
from beatsight_core.audio.inventory_figures import AudioFigures
from beatsight_core.errors import DatasetError
from beatsight_core.health.figures.event_account import Account, CountCheck
from beatsight_core.health.figures.event_figures import EventFigures, event_figures, event_plans
from beatsight_core.health.figures.export_figures import ExportFigures
from beatsight_core.health.figures.hit_figures import HitFigures, hit_figures, hit_plans
from beatsight_core.health.figures.leakage import Leakage, leakage
from beatsight_core.health.figures.reconciliation import account_checks, reconcile, whereabouts
from beatsight_core.health.figures.rejects import RejectFigures, reject_figures
from beatsight_core.health.figures.repeated_events import RepeatedEvents, repeated_events
from beatsight_core.health.figures.session_figures import OutOfTime, out_of_time
from beatsight_core.health.figures.sound_figures import SoundFigures
from beatsight_core.manifest.catalog import CatalogSummary
from beatsight_core.manifest.read_manifest import Catalog
from beatsight_core.settings import Settings
from beatsight_core.taxonomy import taxonomy_named


@dataclass(frozen=True, slots=True)
class Totals:
    """The headline figures.

    Attributes:
        read: Lines of the manifest that are not blank.
        kept: Lines that are events.
        rejected: Lines that were refused.
        events: Number of events.
        real_events: Events of recordings.
        synthetic_events: Events that were synthesized.
        negative_events: Examples of silence and noise.
        hits: Number of hits.
        real_hits: Hits of recordings.
        synthetic_hits: Hits that were synthesized.
        simultaneous_hits: Hits with two or more classes.
        simultaneous_rate: Share of those.
        sessions: Different sessions.
        files: Different audio files.
        sources: Different source sets.
        clip_seconds: Length of the clips of all hits.
        audio_seconds: Length of all audio files; None where none was looked for.
        duplicates: Events that repeat another.
        duplication_rate: Share of those.
        unknown_labels: Labels that the taxonomy lacks.
        exported_hits: Clips of the dataset; None before an export.
    """

    read: int
    kept: int
    rejected: int
    events: int
    real_events: int
    synthetic_events: int
    negative_events: int
    hits: int
    real_hits: int
    synthetic_hits: int
    simultaneous_hits: int
    simultaneous_rate: float
    sessions: int
    files: int
    sources: int
    clip_seconds: float
    audio_seconds: float | None
    duplicates: int
    duplication_rate: float
    unknown_labels: int
    exported_hits: int | None


@dataclass(frozen=True, slots=True)
class CorpusFigures:
    """The figures of a corpus: `statistics` of a health report.

    Attributes:
        taxonomy: Name of the taxonomy.
        totals: Headline figures.
        events: Figures of the events.
        hits: Figures of the hits.
        duplicates: Events that repeat another.
        unknown_labels: Label that the taxonomy lacks -> strokes.
        leakage: Sessions, files and origins on both sides of the split.
        rejects: Lines that were refused.
        split_notes: Sentences on source sets that could not be split as they ask for.
        audio: Figures of the audio; None where it was not looked for.
        export: Figures of the dataset; None before an export.
        sound: Figures of how its clips sound; None before an export.
        reconciliation: Counts that must agree.
        corrections: Source set -> how its onsets were moved, as settings say.
        whereabouts: End that lines of the manifest came to -> lines; None without an account of every event.
    """

    taxonomy: str
    totals: Totals
    events: EventFigures
    hits: HitFigures
    duplicates: RepeatedEvents
    unknown_labels: Mapping[str, int]
    leakage: Leakage
    rejects: RejectFigures
    split_notes: tuple[str, ...]
    audio: AudioFigures | None
    export: ExportFigures | None
    sound: SoundFigures | None
    reconciliation: tuple[CountCheck, ...]
    corrections: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    whereabouts: Mapping[str, int] | None = None

    def out_of_time(self, limit_ms: float) -> list[OutOfTime]:
        """Return the recordings whose sound and labels are more than `limit_ms` apart."""
        sources = self.sound.by_source if self.sound else {}
        return out_of_time({name: source.sessions for name, source in sources.items()}, limit_ms)


def statistics(
    settings: Settings,
    catalog: Catalog,
    inventory: Inventory | None = None,
    export: ExportFigures | None = None,
    sound: SoundFigures | None = None,
    account: Account | None = None,
) -> CorpusFigures:
    """Measure a corpus.

    Args:
        settings: Taxonomy, length of clips, and share of hits that should validate.
        catalog: Catalog of the events and hits.
        inventory: Audio inventory, if the audio was looked for.
        export: Figures of the dataset, if there is one.
        sound: Figures of how the clips of the dataset sound.
        account: Account of every event of the catalog.

    Raises:
        DatasetError: The catalog cannot be read.
    """
    taxonomy = taxonomy_named(settings.taxonomy)
    frames = _collect(catalog)
    events = event_figures(frames, taxonomy)
    clip_s = (settings.dataset.pre_ms + settings.dataset.tail_ms) / 1000
    hits = hit_figures(frames, taxonomy, clip_s, settings.dataset.val_ratio)
    repeated, rejects = repeated_events(catalog), reject_figures(catalog)
    audio = inventory.figures() if inventory else None
    checks = reconcile(catalog, frames, rejects, hits, audio, export)
    return CorpusFigures(
        taxonomy=taxonomy.name,
        totals=_totals(catalog.summary, events, hits, repeated, audio, export),
        events=events,
        hits=hits,
        duplicates=repeated,
        unknown_labels=catalog.summary.unknown_labels,
        leakage=leakage(frames["sessions"], inventory.files if inventory else None),
        rejects=rejects,
        split_notes=tuple(catalog.summary.split_notes),
        audio=audio,
        export=export,
        sound=sound,
        reconciliation=checks + (account_checks(catalog, account) if account else ()),
        corrections=catalog.summary.corrections,
        whereabouts=whereabouts(catalog, account) if account else None,
    )


def _collect(catalog: Catalog) -> dict[str, pl.DataFrame]:
    try:
        plans = {
            **event_plans(pl.scan_parquet(catalog.events_path, glob=False)),
            **hit_plans(pl.scan_parquet(catalog.hits_path, glob=False)),
        }
        return dict(zip(plans, pl.collect_all(list(plans.values()), engine="streaming"), strict=True))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DatasetError(
            "The catalog cannot be read",
            where=catalog.folder,
            why=str(error).splitlines()[0],
            do="delete that folder and run the same command again",
        ) from error


def _totals(
    summary: CatalogSummary,
    events: EventFigures,
    hits: HitFigures,
    repeated: RepeatedEvents,
    audio: AudioFigures | None,
    export: ExportFigures | None,
) -> Totals:
    return Totals(
        read=summary.read,
        kept=summary.kept,
        rejected=summary.rejected,
        events=events.events,
        real_events=events.events - events.synthetic_events,
        synthetic_events=events.synthetic_events,
        negative_events=events.negative_events,
        hits=hits.hits,
        real_hits=hits.hits - hits.synthetic_hits,
        synthetic_hits=hits.synthetic_hits,
        simultaneous_hits=hits.simultaneous_hits,
        simultaneous_rate=hits.simultaneous_rate,
        sessions=summary.sessions,
        files=summary.files,
        sources=len(hits.sources),
        clip_seconds=sum(split.seconds for split in hits.splits.values()),
        audio_seconds=sum(source.seconds for source in audio.by_source.values()) if audio else None,
        duplicates=repeated.events,
        duplication_rate=repeated.rate,
        unknown_labels=sum(summary.unknown_labels.values()),
        exported_hits=export.hits if export else None,
    )

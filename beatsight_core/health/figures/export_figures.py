"""What an exported dataset really holds: clips, rejects by reason, seconds, levels; read from indexes and shards."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from beatsight_core.dataset.index import (
    Index,
    RejectedFile,
    dataset_digest,
    index_paths,
    read_index,
    rejected_files,
)
from beatsight_core.dataset.shards.shard_schema import shard_name
from beatsight_core.errors import DatasetError
from beatsight_core.files import plain_file
from beatsight_core.health.figures.event_figures import Histogram, bin_of, histogram
from beatsight_core.settings import Settings

PEAK_EDGES = tuple(range(-60, 1, 4))
RMS_EDGES = tuple(range(-80, 1, 5))
"""Edges in dBFS; what lies beyond is counted in the outermost bin."""

SILENT_DBFS = -60.0
"""A clip with a label whose peak stays below this hardly sounds."""

LISTED = 50
"""Files that lost hits, named in the report."""


@dataclass(frozen=True, slots=True)
class SourceExport:
    """Clips of a source set.

    Attributes:
        digest: Digest of what the source set holds.
        hits: Number of clips.
        rejected: Reason -> hits without a clip.
        seconds_by_split: Split -> length of clips.
        shards: Number of shards.
        bytes: Bytes of all shards.
    """

    digest: str
    hits: int
    rejected: Mapping[str, int]
    seconds_by_split: Mapping[str, float]
    shards: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SourceLevels:
    """Levels of the clips of a source set.

    Attributes:
        peak: Clips by peak in dBFS.
        rms: Clips by root mean square in dBFS.
        labelled: Number of clips with a label.
        silent: Number of those that hardly sound.
    """

    peak: Histogram
    rms: Histogram
    labelled: int
    silent: int


@dataclass(frozen=True, slots=True)
class ClipLevels:
    """Levels of all clips.

    Attributes:
        peak: Clips by peak in dBFS.
        rms: Clips by root mean square in dBFS.
        by_source: Source set -> levels of its clips.
    """

    peak: Histogram
    rms: Histogram
    by_source: Mapping[str, SourceLevels] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExportFigures:
    """Figures of an exported dataset.

    Attributes:
        digest: Digest of what the dataset holds.
        hits: Number of clips.
        rejected: Reason -> hits without a clip.
        rejected_files: Files that lost hits.
        by_source: Source set -> its clips.
        classes: Class -> clips that hold it.
        levels: Levels of all clips.
    """

    digest: str
    hits: int
    rejected: Mapping[str, int]
    rejected_files: tuple[RejectedFile, ...]
    by_source: Mapping[str, SourceExport]
    classes: Mapping[str, int]
    levels: ClipLevels


def export_figures(settings: Settings, key: str) -> ExportFigures | None:
    """Measure the dataset of a manifest; None if nothing was exported.

    Args:
        settings: Folders of datasets.
        key: Key of the manifest.

    Raises:
        DatasetError: An index or a shard cannot be read.
    """
    indexes = [read_index(path) for path in index_paths(settings, key)]
    if not indexes:
        return None
    reasons = sorted({reason for index in indexes for reason in index.rejected})
    return ExportFigures(
        digest=dataset_digest(indexes),
        hits=sum(shard.rows for index in indexes for shard in index.shards),
        rejected={reason: sum(index.rejected.get(reason, 0) for index in indexes) for reason in reasons},
        rejected_files=tuple(rejected_files(indexes)[:LISTED]),
        by_source={index.source_set: _source(index) for index in indexes},
        classes=_classes(settings, indexes),
        levels=_levels(settings, indexes),
    )


def _source(index: Index) -> SourceExport:
    return SourceExport(
        digest=index.digest,
        hits=sum(shard.rows for shard in index.shards),
        rejected=dict(index.rejected),
        seconds_by_split=dict(index.seconds_by_split),
        shards=len(index.shards),
        bytes=index.bytes,
    )


def _classes(settings: Settings, indexes: list[Index]) -> dict[str, int]:
    """Return class -> clips that hold it; only the column of labels is read."""
    clips = _scan(settings, indexes)
    if clips is None:
        return {}
    labels = clips.select(label=pl.col("labels").explode()).drop_nulls().group_by("label").len()
    return dict(sorted(_collected(labels, settings, indexes).iter_rows()))


def _levels(settings: Settings, indexes: list[Index]) -> ClipLevels:
    """Return histograms over all clips. Only levels, labels and source sets are read."""
    clips = _scan(settings, indexes)
    if clips is None:
        return ClipLevels(histogram(_EMPTY, PEAK_EDGES), histogram(_EMPTY, RMS_EDGES))
    labelled = pl.col("labels").list.len() > 0
    bins = clips.select(
        "source_set", labelled=labelled, silent=labelled & (pl.col("peak") < SILENT_DBFS),
        peak=bin_of(pl.col("peak"), PEAK_EDGES), rms=bin_of(pl.col("rms"), RMS_EDGES),
    )  # fmt: skip
    grouped = bins.group_by("source_set", "labelled", "silent", "peak", "rms").len()
    counted = _collected(grouped, settings, indexes)
    sources = counted["source_set"].unique().sort()
    return ClipLevels(_peak(counted), _rms(counted), {name: _of_source(counted, name) for name in sources})


def _of_source(counted: pl.DataFrame, name: str) -> SourceLevels:
    mine = counted.filter(pl.col("source_set") == name)
    return SourceLevels(
        peak=_peak(mine),
        rms=_rms(mine),
        labelled=int(mine.filter("labelled")["len"].sum()),
        silent=int(mine.filter("silent")["len"].sum()),
    )


def _peak(counted: pl.DataFrame) -> Histogram:
    return histogram(counted.select("len", bin="peak"), PEAK_EDGES)


def _rms(counted: pl.DataFrame) -> Histogram:
    return histogram(counted.select("len", bin="rms"), RMS_EDGES)


def _scan(settings: Settings, indexes: list[Index]) -> pl.LazyFrame | None:
    """Return a scan of all shards of a dataset; None if it has none."""
    paths = [plain_file(settings.shards_dir / shard_name(shard.digest)) for index in indexes for shard in index.shards]
    return pl.scan_parquet(paths, glob=False) if paths else None


def _collected(query: pl.LazyFrame, settings: Settings, indexes: list[Index]) -> pl.DataFrame:
    try:
        return query.collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DatasetError(
            "A shard of the dataset cannot be read",
            where=settings.shards_dir,
            why=str(error).splitlines()[0],
            do=f"export {indexes[0].manifest} again: what is broken or gone is made anew",
        ) from error


_EMPTY = pl.DataFrame(schema={"bin": pl.Int64, "len": pl.UInt32})

"""What an exported dataset really holds: clips, rejects by reason, seconds, levels; read from indexes and shards."""

from typing import Any

import polars as pl

from beatsight_core.dataset.index import Index, dataset_digest, index_paths, read_index
from beatsight_core.dataset.shards.schema import shard_name
from beatsight_core.errors import DatasetError
from beatsight_core.files import plain_file
from beatsight_core.health.figures.event_figures import bin_of, histogram
from beatsight_core.settings import Settings

PEAK_EDGES = tuple(range(-60, 1, 4))
RMS_EDGES = tuple(range(-80, 1, 5))
"""Edges in dBFS; what lies beyond is counted in the outermost bin."""

SILENT_DBFS = -60.0
"""A clip with a label whose peak stays below this hardly sounds."""

LISTED = 50
"""Files that lost hits, named in the report."""


def export_figures(settings: Settings, key: str) -> dict[str, Any] | None:
    """Measure the dataset of a manifest.

    Args:
        settings: Say where datasets lie.
        key: The manifest's key.

    Returns:
        None if nothing was exported. Else `digest`, `hits` (clips), `rejected` (reason -> hits), `by_source` (the same
        for each, with seconds by split, shards and bytes), `rejected_files`, `classes` (label -> clips that hold it),
        and `levels` (peak and rms in dBFS, in all and `by_source`, there with `labelled` clips and how many of those
        are `silent`).

    Raises:
        DatasetError: An index or a shard cannot be read.
    """
    indexes = [read_index(path) for path in index_paths(settings, key)]
    if not indexes:
        return None
    reasons = sorted({reason for index in indexes for reason in index.rejected})
    files = [{"source_set": index.source_set, **file} for index in indexes for file in index.rejected_files]
    return {
        "digest": dataset_digest(indexes),
        "hits": sum(shard.rows for index in indexes for shard in index.shards),
        "rejected": {reason: sum(index.rejected.get(reason, 0) for index in indexes) for reason in reasons},
        "rejected_files": files[:LISTED],
        "by_source": {index.source_set: _source(index) for index in indexes},
        "classes": _classes(settings, indexes),
        "levels": _levels(settings, indexes),
    }


def _source(index: Index) -> dict[str, Any]:
    return {
        "digest": index.digest,
        "hits": sum(shard.rows for shard in index.shards),
        "rejected": dict(index.rejected),
        "seconds_by_split": dict(index.seconds_by_split),
        "shards": len(index.shards),
        "bytes": index.bytes,
    }


def _classes(settings: Settings, indexes: list[Index]) -> dict[str, int]:
    """Clips that hold each label; only the column of labels is read."""
    clips = _scan(settings, indexes)
    if clips is None:
        return {}
    labels = clips.select(label=pl.col("labels").explode()).drop_nulls().group_by("label").len()
    return dict(sorted(_collected(labels, settings, indexes).iter_rows()))


def _levels(settings: Settings, indexes: list[Index]) -> dict[str, Any]:
    """Histograms over all clips. Only levels, labels and source sets are read."""
    clips = _scan(settings, indexes)
    if clips is None:
        return {"peak": histogram(_EMPTY, PEAK_EDGES), "rms": histogram(_EMPTY, RMS_EDGES), "by_source": {}}
    labelled = pl.col("labels").list.len() > 0
    bins = clips.select(
        "source_set", labelled=labelled, silent=labelled & (pl.col("peak") < SILENT_DBFS),
        peak=bin_of(pl.col("peak"), PEAK_EDGES), rms=bin_of(pl.col("rms"), RMS_EDGES),
    )  # fmt: skip
    grouped = bins.group_by("source_set", "labelled", "silent", "peak", "rms").len()
    counted = _collected(grouped, settings, indexes)
    sources = counted["source_set"].unique().sort()
    return _histograms(counted) | {"by_source": {name: _of_source(counted, name) for name in sources}}


def _of_source(counted: pl.DataFrame, name: str) -> dict[str, Any]:
    mine = counted.filter(pl.col("source_set") == name)
    return {
        **_histograms(mine),
        "labelled": int(mine.filter("labelled")["len"].sum()),
        "silent": int(mine.filter("silent")["len"].sum()),
    }


def _histograms(counted: pl.DataFrame) -> dict[str, Any]:
    return {
        "peak": histogram(counted.select("len", bin="peak"), PEAK_EDGES),
        "rms": histogram(counted.select("len", bin="rms"), RMS_EDGES),
    }


def _scan(settings: Settings, indexes: list[Index]) -> pl.LazyFrame | None:
    """All shards of a dataset; None if it has none."""
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

"""The figures of a dataset: by split, by label, by source set; what has no clip and why.

From its indexes, and from two columns of its shards: labels and splits.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from beatsight_core.dataset.accounts import summed
from beatsight_core.dataset.index import Index, RejectedFile, dataset_digest, rejected_files
from beatsight_core.dataset.shards.shard_schema import shard_name
from beatsight_core.errors import DatasetError
from beatsight_core.files import plain_file
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject

SPLITS = ("train", "val", "calibration")


@dataclass(frozen=True, slots=True)
class DatasetTotals:
    """The totals of a dataset.

    Attributes:
        hits: Number of hits, with and without a clip.
        clips: Number of clips.
        seconds: Length of all clips together.
        rejected: Number of hits without a clip.
        files: Number of audio files.
        shards: Number of shards.
        bytes: Size of all shards together.
    """

    hits: int
    clips: int
    seconds: float
    rejected: int
    files: int
    shards: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SplitClips:
    """The clips of a split.

    Attributes:
        split: Name of the split.
        clips: Number of clips.
        seconds: Length of these clips together.
    """

    split: str
    clips: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """The figures of a source set.

    Attributes:
        source_set: Name of the source set.
        digest: Digest of what it holds.
        hits: Number of hits, with and without a clip.
        clips: Number of clips.
        files: Number of audio files.
        by_split: Split -> clips.
        seconds_by_split: Split -> seconds of clips.
        rejected: Reason -> hits without a clip, where there are any.
        shards: Number of shards.
        bytes: Size of these shards together.
    """

    source_set: str
    digest: str
    hits: int
    clips: int
    files: int
    by_split: Mapping[str, int]
    seconds_by_split: Mapping[str, float]
    rejected: Mapping[str, int]
    shards: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """The clips that hold a label.

    Attributes:
        label: Name of the label.
        clips: Number of clips.
        solo: Number of these with no other label.
        train: Number of these in the training split.
        val: Number of these in the validation split.
        calibration: Number of these in the calibration split.
    """

    label: str
    clips: int
    solo: int
    train: int
    val: int
    calibration: int


@dataclass(frozen=True, slots=True)
class DatasetFigures:
    """The figures of a dataset.

    Attributes:
        key: Key of the manifest.
        digest: Digest of the dataset.
        totals: Totals of all source sets.
        splits: Figures of each split.
        sources: Figures of each source set.
        labels: Figures of each label, in class order.
        rejected: Reason -> hits without a clip, where there are any.
        rejected_files: Losses of each file that lost hits.
        clips: Source set -> settings that its clips were made by.
    """

    key: str
    digest: str
    totals: DatasetTotals
    splits: tuple[SplitClips, ...]
    sources: tuple[SourceFigures, ...]
    labels: tuple[LabelFigures, ...]
    rejected: Mapping[str, int]
    rejected_files: tuple[RejectedFile, ...]
    clips: Mapping[str, JsonObject]


def dataset_figures(key: str, indexes: Sequence[Index], counts: pl.DataFrame) -> DatasetFigures:
    """Return the figures of a dataset.

    Args:
        key: Key of the manifest.
        indexes: Indexes of the dataset.
        counts: Table from `label_counts`.
    """
    splits = summed(index.counts.by_split for index in indexes)
    seconds = summed(index.seconds_by_split for index in indexes)
    rejected = summed(index.rejected for index in indexes)
    return DatasetFigures(
        key=key,
        digest=dataset_digest(indexes),
        totals=DatasetTotals(
            hits=sum(index.counts.hits for index in indexes),
            clips=sum(splits.values()),
            seconds=round(sum(seconds.values()), 3),
            rejected=sum(rejected.values()),
            files=sum(index.counts.files for index in indexes),
            shards=len({entry.digest for index in indexes for entry in index.shards}),
            bytes=sum(index.bytes for index in indexes),
        ),
        splits=tuple(
            SplitClips(split, splits.get(split, 0), round(seconds.get(split, 0.0), 3))
            for split in (*SPLITS, *sorted(set(splits) - set(SPLITS)))
        ),
        sources=tuple(_source(index) for index in indexes),
        labels=_labels(indexes, counts),
        rejected=_occurring(rejected),
        rejected_files=tuple(rejected_files(indexes)),
        clips={index.source_set: index.settings for index in indexes},
    )


def label_counts(settings: Settings, indexes: Iterable[Index]) -> pl.DataFrame:
    """Count clips by shard, label and split, and among them those with that label alone.

    Args:
        settings: Settings that say where shards lie.
        indexes: Indexes whose shards are read; a shard that is gone is left out.

    Returns:
        Columns shard (its digest), label (null: a clip of silence), split, clips, solo.

    Raises:
        DatasetError: A shard is broken.
    """
    digests = dict.fromkeys(entry.digest for index in indexes for entry in index.shards if entry.rows)
    paths = [path for digest in digests if (path := plain_file(settings.shards_dir / shard_name(digest))).exists()]
    if not paths:
        return pl.DataFrame(schema=_COUNTS)
    rows = pl.scan_parquet(paths, include_file_paths="file", glob=False).select("file", "labels", "split")
    counted = (
        rows.with_columns(solo=pl.col("labels").list.len() == 1)
        .explode("labels", empty_as_null=True)
        .group_by("file", "labels", "split")
        .agg(clips=pl.len(), solo=pl.col("solo").sum())
    )
    try:
        table = counted.collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise broken_shard(settings.shards_dir, error) from error
    stems = [Path(file).stem for file in table["file"]]
    named = table.with_columns(pl.Series("shard", stems, pl.String)).rename({"labels": "label"})
    return named.select(pl.col(name).cast(kind) for name, kind in _COUNTS.items())


def broken_shard(where: Path, error: Exception) -> DatasetError:
    """Return the error to raise where reading a shard failed."""
    why = (str(error) or type(error).__name__).splitlines()[0]
    do = "beatsight export MANIFEST --heal"
    return DatasetError("A shard of the dataset is missing or broken", where=where, why=why, do=do)


def class_order(indexes: Iterable[Index], labels: Iterable[str]) -> list[str]:
    """Return labels in the order of the taxonomies that the clips were made with, then any other."""
    ordered = dict.fromkeys(label for index in indexes for label in index.components)
    return [*ordered, *sorted(set(labels) - set(ordered))]


_COUNTS = {"shard": pl.String, "label": pl.String, "split": pl.String, "clips": pl.Int64, "solo": pl.Int64}


def _source(index: Index) -> SourceFigures:
    return SourceFigures(
        source_set=index.source_set,
        digest=index.digest,
        hits=index.counts.hits,
        clips=index.counts.clips,
        files=index.counts.files,
        by_split=index.counts.by_split,
        seconds_by_split=index.seconds_by_split,
        rejected=_occurring(index.rejected),
        shards=len(index.shards),
        bytes=index.bytes,
    )


def _occurring(rejected: Mapping[str, int]) -> dict[str, int]:
    return {reason: hits for reason, hits in rejected.items() if hits}


def _labels(indexes: Sequence[Index], counts: pl.DataFrame) -> tuple[LabelFigures, ...]:
    found: dict[str, Counter[str]] = {}
    for label, split, clips, solo in counts.drop_nulls("label").select("label", "split", "clips", "solo").iter_rows():
        found.setdefault(label, Counter()).update({"clips": clips, "solo": solo, split: clips})
    none: Counter[str] = Counter()
    return tuple(
        LabelFigures(label, mine["clips"], mine["solo"], *(mine[split] for split in SPLITS))
        for label in class_order(indexes, found)
        for mine in (found.get(label, none),)
    )

"""What a dataset holds in figures: by split, by label, by source set; what has no clip and why.

From its indexes, and from two columns of its shards: labels and splits.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from beatsight_core.dataset.index import Index, dataset_digest
from beatsight_core.dataset.shards.schema import shard_name
from beatsight_core.errors import DatasetError
from beatsight_core.files import plain_file
from beatsight_core.settings import Settings

SPLITS = ("train", "val", "calibration")


def dataset_figures(key: str, indexes: Sequence[Index], counts: pl.DataFrame) -> dict[str, Any]:
    """A dataset in figures.

    Args:
        key: Of the manifest.
        indexes: Its indexes.
        counts: From `label_counts`.

    Returns:
        `key`, `digest`, `totals`, `splits` (a row each), `sources` (a row each), `labels` (a row each: clips that hold
        it in each split, in all, and alone), `rejected` (reason -> hits), `rejected_files`, `clips` (source set -> how
        its clips were made).
    """
    splits = _summed(index.counts["by_split"] for index in indexes)
    seconds = _summed(index.seconds_by_split for index in indexes)
    rejected = _summed(index.rejected for index in indexes)
    return {
        "key": key,
        "digest": dataset_digest(indexes),
        "totals": {
            "hits": sum(index.counts["hits"] for index in indexes),
            "clips": sum(splits.values()),
            "seconds": round(sum(seconds.values()), 3),
            "rejected": sum(rejected.values()),
            "files": sum(index.counts["files"] for index in indexes),
            "shards": len({entry.digest for index in indexes for entry in index.shards}),
            "bytes": sum(index.bytes for index in indexes),
        },
        "splits": [
            {"split": split, "clips": splits.get(split, 0), "seconds": round(seconds.get(split, 0.0), 3)}
            for split in (*SPLITS, *sorted(set(splits) - set(SPLITS)))
        ],
        "sources": [_source(index) for index in indexes],
        "labels": _labels(indexes, counts),
        "rejected": {reason: hits for reason, hits in rejected.items() if hits},
        "rejected_files": [
            {"source_set": index.source_set, **lost} for index in indexes for lost in index.rejected_files
        ],
        "clips": {index.source_set: index.settings for index in indexes},
    }


def label_counts(settings: Settings, indexes: Iterable[Index]) -> pl.DataFrame:
    """Clips by shard, label and split, those with that label alone among them.

    Args:
        settings: Say where shards lie.
        indexes: Whose shards to read; a shard that is gone is left out.

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
    """The error to raise where reading a shard failed."""
    why = (str(error) or type(error).__name__).splitlines()[0]
    do = "beatsight export MANIFEST --heal"
    return DatasetError("A shard of the dataset is missing or broken", where=where, why=why, do=do)


def class_order(indexes: Iterable[Index], labels: Iterable[str]) -> list[str]:
    """Labels in the order of the taxonomies that the clips were made with, then any other."""
    ordered = dict.fromkeys(label for index in indexes for label in index.settings["taxonomy"]["components"])
    return [*ordered, *sorted(set(labels) - set(ordered))]


_COUNTS = {"shard": pl.String, "label": pl.String, "split": pl.String, "clips": pl.Int64, "solo": pl.Int64}


def _source(index: Index) -> dict[str, Any]:
    return {
        "source_set": index.source_set,
        "digest": index.digest,
        "hits": index.counts["hits"],
        "clips": index.counts["clips"],
        "files": index.counts["files"],
        "by_split": index.counts["by_split"],
        "seconds_by_split": index.seconds_by_split,
        "rejected": {reason: hits for reason, hits in index.rejected.items() if hits},
        "shards": len(index.shards),
        "bytes": index.bytes,
    }


def _labels(indexes: Sequence[Index], counts: pl.DataFrame) -> list[dict[str, Any]]:
    found: dict[str, dict[str, int]] = {}
    for label, split, clips, solo in counts.drop_nulls("label").select("label", "split", "clips", "solo").iter_rows():
        row = found.setdefault(label, {"clips": 0, "solo": 0})
        row["clips"] += clips
        row["solo"] += solo
        row[split] = row.get(split, 0) + clips
    empty = dict.fromkeys(("clips", "solo", *SPLITS), 0)
    return [{"label": label, **empty, **found.get(label, {})} for label in class_order(indexes, found)]


def _summed(counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for count in counts:
        for name, value in count.items():
            total[name] = total.get(name, 0) + value
    return dict(sorted(total.items()))

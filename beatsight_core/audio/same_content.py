"""Audio files of the same content under several names, as far as their digests are known."""

from typing import Any

import polars as pl

LISTED_GROUPS = 20
"""Groups of copies that summaries name; counts are of all."""


def copies(files: pl.DataFrame) -> pl.DataFrame:
    """The files whose content another file has, too.

    Args:
        files: source_set, audio_path, events, digest (null if not known).

    Returns:
        The same columns, copies of one content beside each other.
    """
    known = files.drop_nulls("digest").select("source_set", "audio_path", "events", "digest")
    return known.filter(pl.len().over("digest") > 1).sort("digest", "source_set", "audio_path")


def duplicates_json(files: pl.DataFrame) -> dict[str, Any]:
    """What is known of copies.

    Returns:
        `known`: files whose digest is known; `extra_files` and `extra_events`: what would be left out if each content
        counted once; `across_sources`: contents that several source sets have; `by_source`: source set -> its files
        whose content an earlier file of the same set has; `groups`: the largest, each with its files.
    """
    found = copies(files)
    first = pl.int_range(pl.len()).over("digest") == 0
    first_in_set = pl.int_range(pl.len()).over("digest", "source_set") == 0
    groups = found.group_by("digest", maintain_order=True).agg(
        sources=pl.col("source_set").n_unique(),
        events=pl.sum("events"),
        files=pl.concat_str("source_set", pl.lit("/"), "audio_path"),
    )
    extra = found.filter(~first)
    within = found.filter(~first_in_set).group_by("source_set").len().sort("source_set")
    return {
        "known": files["digest"].count(),
        "extra_files": extra.height,
        "extra_events": int(extra["events"].sum()),
        "across_sources": groups.filter(pl.col("sources") > 1).height,
        "by_source": dict(within.iter_rows()),
        "groups": groups.sort("events", "digest", descending=[True, False])
        .head(LISTED_GROUPS)
        .select("digest", "events", "files")
        .to_dicts(),
    }

"""Audio files of the same content under several names, as far as their digests are known."""

import polars as pl

from beatsight_core.audio.inventory_figures import CopiedFiles, CopyGroup

LISTED_GROUPS = 20
"""Groups of copies that summaries name; counts are of all."""


def copies(files: pl.DataFrame) -> pl.DataFrame:
    """Return the files whose content another file has, too.

    Args:
        files: Table with source_set, audio_path, events, digest (null if not known).

    Returns:
        The same columns, copies of one content beside each other.
    """
    known = files.drop_nulls("digest").select("source_set", "audio_path", "events", "digest")
    return known.filter(pl.len().over("digest") > 1).sort("digest", "source_set", "audio_path")


def copied_files(files: pl.DataFrame) -> CopiedFiles:
    """Return what is known of copies.

    Args:
        files: Table with source_set, audio_path, events, digest (null if not known).
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
    largest = groups.sort("events", "digest", descending=[True, False]).head(LISTED_GROUPS)
    return CopiedFiles(
        known=files["digest"].count(),
        extra_files=extra.height,
        extra_events=int(extra["events"].sum()),
        across_sources=groups.filter(pl.col("sources") > 1).height,
        by_source=dict(within.iter_rows()),
        groups=tuple(
            CopyGroup(digest, events, tuple(names))
            for digest, events, names in largest.select("digest", "events", "files").iter_rows()
        ),
    )

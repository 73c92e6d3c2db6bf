"""Events that say the same again: same session, same onset, same components. The catalog counts them; here is where."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from beatsight_core.manifest.read_manifest import Catalog

LISTED = 20
_BETWEEN = "\x1f"


def duplicates(catalog: Catalog, summary: Mapping[str, Any]) -> dict[str, Any]:
    """How many events repeat another, as a share of all, and which sessions hold most of them.

    Args:
        catalog: The events.
        summary: The catalog's own figures.

    Returns:
        `events`, `rate`, `by_source`, and `sessions`, the worst of them with their number.
    """
    repeated, kept = int(summary["duplicates"]), int(summary["kept"])
    where = (
        _where(catalog)
        if repeated
        else pl.DataFrame(schema={"source_set": pl.String, "session_id": pl.String, "repeats": pl.UInt32})
    )
    by_source = where.group_by("source_set").agg(pl.col("repeats").sum()).sort("source_set")
    worst = where.sort("repeats", "session_id", descending=[True, False]).head(LISTED)
    return {
        "events": repeated,
        "rate": repeated / kept if kept else 0.0,
        "by_source": dict(by_source.iter_rows()),
        "sessions": worst.to_dicts(),
    }


def _where(catalog: Catalog) -> pl.DataFrame:
    """Source set, session, repeats. Rows are compared by a 64-bit hash, which keeps millions of them small."""
    events = pl.scan_parquet(catalog.events_path, glob=False).select("source_set", "session_id", "onset_time", "labels")
    single = pl.col("labels").list.len() == 1
    # Components are compared as a set. Nearly all events have one, which needs no sorting.
    ones = events.filter(single).with_columns(pl.col("labels").list.first())
    more = events.filter(~single).with_columns(pl.col("labels").list.unique().list.sort().list.join(_BETWEEN))
    marked = pl.concat([ones, more]).select(
        "source_set", "session_id", mark=pl.struct("session_id", "onset_time", "labels").hash()
    )
    counted = marked.group_by("source_set", "session_id").agg(repeats=pl.len() - pl.col("mark").n_unique())
    return counted.filter(pl.col("repeats") > 0).collect(engine="streaming")

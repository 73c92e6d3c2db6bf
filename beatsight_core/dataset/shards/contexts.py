"""The audio around its onset that each hit asks for: `context_ms` of its events, where clips differ in length."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beatsight_core.audio.slicing import Window
from beatsight_core.files import storage_errors
from beatsight_core.manifest.read_manifest import Catalog

MAX_CONTEXT_MS = 10_000.0
"""No line of a manifest gets more than this on either side."""

_STATED = ("context_pre_ms", "context_post_ms")


def hit_windows(catalog: Catalog, window: Window) -> NDArray[np.int32]:
    """Return the samples before the onset and from it on, for every hit of a catalog.

    Args:
        catalog: Catalog of the hits.
        window: Window of a hit whose events ask for nothing.

    Returns:
        (hits, 2) in the order of the hits' rows: the most that any of a hit's events asks for.
    """
    events = pl.scan_parquet(catalog.events_path, glob=False).select("event_id", *_STATED)
    asking = events.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in _STATED))
    hits = (
        pl.scan_parquet(catalog.hits_path, glob=False)
        .select(event_id="event_ids")
        .with_row_index("row")
        .explode("event_id")
    )
    with storage_errors(catalog.folder):
        asked = hits.join(asking, on="event_id").group_by("row").agg(pl.max(*_STATED)).collect(engine="streaming")
    windows = np.tile(np.array([window.pre, window.tail], np.int32), (catalog.summary.hits, 1))
    for side, name in enumerate(_STATED):
        stated = asked.drop_nulls(name)
        frames = np.floor(stated[name].to_numpy().clip(0, MAX_CONTEXT_MS) / 1000.0 * window.rate_hz + 0.5)
        windows[stated["row"].to_numpy(), side] = frames.astype(np.int32).clip(side)  # the onset's sample at least
    return windows

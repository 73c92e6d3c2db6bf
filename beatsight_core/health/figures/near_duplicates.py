"""Clips that sound nearly the same as another: one performance under two names, or one recording cut twice.

Two clips are near duplicates if the levels of their bands over time differ by no more than `CLOSE_DB` (root mean square
over what is heard in either), whatever their gain. Strokes of a sampler at one velocity are near duplicates, too, and
rightly so: they teach nothing new. So nothing is judged by this; it is told how many there are, and how many of them
stand on both sides of the split.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beatsight_core.health.figures.sound_measures import BANDS, PRINT_STEP_DB, TIMES

CLOSE_DB = 1.0
MOST_COMPARED = 4096
"""Clips compared with each other at most, evenly of all that were measured."""

LISTED = 20
_BLOCK = 512

_Prints = NDArray[np.float32]


def near_duplicates(clips: pl.DataFrame) -> dict[str, Any]:
    """Compare measured clips, each with its nearest.

    Args:
        clips: Columns source_set, hit_id, session_id, split, audio_path, onset_time, print.

    Returns:
        `compared` (clips), `near` (those with a near duplicate), `by_source` (the same of each source set), `val` and
        `val_near_training` (validation clips, and those whose near duplicate is among the other splits), `examples`
        (of those: both clips and their `distance_db`, the nearest first).
    """
    heard = clips.filter(pl.col("print").bin.size() > 0).sort("source_set", "hit_id")
    stacked = np.frombuffer(b"".join(heard["print"].to_list()), np.uint8).reshape(heard.height, TIMES * BANDS)
    sounding = stacked.any(axis=1)
    chosen = np.flatnonzero(sounding)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), MOST_COMPARED)).astype(int)]
    rows, levels = heard.select(pl.all().gather(chosen)), stacked[chosen].astype(np.float32) * np.float32(PRINT_STEP_DB)
    everyone = np.arange(len(levels))
    near = _nearest(levels, everyone, everyone)[1] <= CLOSE_DB
    val = np.flatnonzero((rows["split"] == "val").to_numpy())
    others = np.flatnonzero((rows["split"] != "val").to_numpy())
    partner, distance = _nearest(levels, val, others)
    shared = np.flatnonzero(distance <= CLOSE_DB)
    shared = shared[np.argsort(distance[shared], kind="stable")]
    counted = rows.select("source_set").with_columns(near=pl.Series(near, dtype=pl.Boolean)).group_by("source_set").agg(
        compared=pl.len(), near=pl.col("near").sum()
    )  # fmt: skip
    return {
        "compared": rows.height,
        "near": int(near.sum()),
        "by_source": {name: {"compared": n, "near": m} for name, n, m in counted.sort("source_set").iter_rows()},
        "val": len(val),
        "val_near_training": len(shared),
        "examples": [
            {
                "val": _named(rows, int(val[place])),
                "training": _named(rows, int(partner[place])),
                "distance_db": round(float(distance[place]), 3),
            }
            for place in shared[:LISTED]
        ],
    }


def distance_db(one: _Prints, other: _Prints) -> NDArray[np.float32]:
    """Root mean square difference of prints in decibels, over the cells where either is heard.

    Args:
        one: (n, cells) decibels above the floor.
        other: The same.

    Returns:
        (n,).
    """
    either = (one > 0) | (other > 0)
    squares = np.where(either, (one - other) ** 2, 0).sum(axis=1)
    return np.asarray(np.sqrt(squares / np.maximum(either.sum(axis=1), 1)), np.float32)


def _nearest(
    levels: _Prints, these: NDArray[np.int64], among: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of each of `these`, the nearest row `among` others, itself aside, and how far it is; infinite for none."""
    partner, distance = np.zeros(len(these), np.int64), np.full(len(these), np.inf, np.float32)
    if len(among) == 0:
        return partner, distance
    squares = np.einsum("ij,ij->i", levels, levels)
    for first in range(0, len(these), _BLOCK):
        mine = these[first : first + _BLOCK]
        apart = squares[among][None, :] - 2 * levels[mine] @ levels[among].T
        apart[mine[:, None] == among[None, :]] = np.inf
        best = apart.argmin(axis=1)
        found = np.isfinite(apart[np.arange(len(mine)), best])
        partner[first : first + len(mine)] = among[best]
        exact = distance_db(levels[mine], levels[among[best]])
        distance[first : first + len(mine)] = np.where(found, exact, np.inf)
    return partner, distance


def _named(rows: pl.DataFrame, row: int) -> dict[str, Any]:
    names = ("source_set", "session_id", "audio_path", "onset_time", "hit_id")
    return {name: rows[name][row] for name in names}

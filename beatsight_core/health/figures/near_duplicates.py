"""Clips that sound nearly the same as another: one performance under two names, or one recording cut twice.

Two clips are near duplicates if the levels of their bands over time differ by no more than `CLOSE_DB` (root mean square
over what is heard in either), whatever their gain. Strokes of a sampler at one velocity are near duplicates, too, and
rightly so: they teach nothing new. So nothing is judged by this; a report says how many there are, and how many of
them stand on both sides of the split.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class ClipPlace:
    """Where a clip comes from.

    Attributes:
        source_set: Name of its source set.
        session_id: Name of its session.
        audio_path: Path of its file in the manifest.
        onset_time: Onset in the file, in seconds.
        hit_id: Id of its hit.
    """

    source_set: str
    session_id: str
    audio_path: str
    onset_time: float
    hit_id: str


@dataclass(frozen=True, slots=True)
class NearPair:
    """A validation clip that sounds nearly like one that trains or tunes.

    Attributes:
        val: Place of the validation clip.
        training: Place of the other.
        distance_db: Distance of both in decibels.
    """

    val: ClipPlace
    training: ClipPlace
    distance_db: float


@dataclass(frozen=True, slots=True)
class NearCounts:
    """Near duplicates of a source set.

    Attributes:
        compared: Number of clips compared.
        near: Number of those with a near duplicate.
    """

    compared: int
    near: int


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Clips that sound nearly like another.

    Attributes:
        compared: Number of clips compared.
        near: Number of those with a near duplicate.
        by_source: Source set -> its near duplicates.
        val: Number of validation clips among those compared.
        val_near_training: Number of those whose near duplicate is in another split.
        examples: Pairs on both sides of the split, the nearest first.
    """

    compared: int
    near: int
    by_source: Mapping[str, NearCounts]
    val: int
    val_near_training: int
    examples: tuple[NearPair, ...]


def near_duplicates(clips: pl.DataFrame) -> NearDuplicates:
    """Compare measured clips, each with its nearest.

    Args:
        clips: Measured clips: source_set, hit_id, session_id, split, audio_path, onset_time, print.
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
    return NearDuplicates(
        compared=rows.height,
        near=int(near.sum()),
        by_source={name: NearCounts(n, m) for name, n, m in counted.sort("source_set").iter_rows()},
        val=len(val),
        val_near_training=len(shared),
        examples=tuple(
            NearPair(_place(rows, int(val[place])), _place(rows, int(partner[place])), round(float(distance[place]), 3))
            for place in shared[:LISTED]
        ),
    )


def distance_db(one: _Prints, other: _Prints) -> NDArray[np.float32]:
    """Return the root mean square difference of prints in decibels, over the cells where either is heard.

    Args:
        one: Prints in decibels above the floor, (n, cells).
        other: Prints to compare them with, of the same shape.

    Returns:
        (n,).
    """
    either = (one > 0) | (other > 0)
    squares = np.where(either, (one - other) ** 2, 0).sum(axis=1)
    return np.asarray(np.sqrt(squares / np.maximum(either.sum(axis=1), 1)), np.float32)


def _nearest(
    levels: _Prints, these: NDArray[np.int64], among: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each of `these` the nearest row `among` others, itself aside, and its distance, infinite for none."""
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


def _place(rows: pl.DataFrame, row: int) -> ClipPlace:
    names = ("source_set", "session_id", "audio_path", "onset_time", "hit_id")
    return ClipPlace(*rows.select(names).row(row))

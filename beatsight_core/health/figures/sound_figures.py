"""How clips sound, from a sample of them: clipped, offset, late or early, nearly the same as another.

The sample is seeded and capped, so that a dataset of millions costs no more than one of thousands; every figure says
of how many clips it was taken.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from beatsight_core.dataset.index import Index, index_paths, read_index
from beatsight_core.dataset.shards.shard_schema import ROW_GROUP
from beatsight_core.files import digest_json
from beatsight_core.health.figures.measured_shards import SCHEMA, measured
from beatsight_core.health.figures.near_duplicates import NearDuplicates, near_duplicates
from beatsight_core.health.figures.session_figures import SessionFigures, session_figures
from beatsight_core.settings import Settings

CLIPS_PER_SOURCE = 1024
"""Clips measured of a source set, about: whole row groups of its shards."""

GROUPS_PER_SHARD = 2
"""Row groups measured of a shard, unless the source set has so few shards that more are needed."""

SEED = 1337

OFFSET_LIMIT = 10 ** (-40 / 20)
"""A median sample further from zero than this, of full scale, is an offset."""

ALONE_S = 0.1
"""Only a clip whose neighbours are at least so far away shows where its own stroke begins."""

FEWEST = 20
"""With fewer strokes than these, nothing is said of a source set's alignment."""

ALIGNMENT_EDGES_MS = tuple(range(-50, 51, 5))


@dataclass(frozen=True, slots=True)
class Alignment:
    """Attack minus onset over the strokes of a source set that stand alone.

    Attributes:
        alone: Strokes without a near neighbour.
        strokes: Strokes of those whose beginning is heard near their label.
        median_ms: Middle of attack minus onset, above 0 where the sound is late; None for fewer than `FEWEST`.
        low_ms: Lower quartile.
        high_ms: Upper quartile.
        edges: Edges of bins in milliseconds.
        counts: Strokes by bin.
    """

    alone: int
    strokes: int
    median_ms: float | None
    low_ms: float | None
    high_ms: float | None
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SourceSound:
    """How the clips of a source set sound.

    Attributes:
        of: Number of clips.
        measured: Number of clips that were measured.
        clipped: Number of those with a run of samples at full scale.
        offset: Number of those that do not swing around zero.
        mean_offset: Mean offset, of full scale.
        alignment: Attack minus onset.
        sessions: Recordings, judged one by one.
    """

    of: int
    measured: int
    clipped: int
    offset: int
    mean_offset: float
    alignment: Alignment
    sessions: SessionFigures


@dataclass(frozen=True, slots=True)
class SoundFigures:
    """How the clips of a dataset sound.

    Attributes:
        measured: Number of clips that were measured.
        of: Number of clips.
        seed: Seed of the choice of clips.
        by_source: Source set -> how its clips sound.
        near_duplicates: Clips that sound nearly like another.
    """

    measured: int
    of: int
    seed: int
    by_source: Mapping[str, SourceSound]
    near_duplicates: NearDuplicates


def sound_figures(settings: Settings, key: str) -> SoundFigures | None:
    """Measure some clips of each source set of a dataset; None if nothing was exported.

    Args:
        settings: Folders of datasets.
        key: Key of the manifest.

    Raises:
        DatasetError: An index or a shard cannot be read.
        StorageError: A measurement cannot be written.
    """
    indexes = [read_index(path) for path in index_paths(settings, key)]
    if not indexes:
        return None
    samples = {index.source_set: _sample(settings, index) for index in indexes}
    by_source = {
        index.source_set: _source(samples[index.source_set], index, session_figures(settings, index, SEED))
        for index in indexes
    }
    return SoundFigures(
        measured=sum(sample.height for sample in samples.values()),
        of=sum(source.of for source in by_source.values()),
        seed=SEED,
        by_source=by_source,
        near_duplicates=near_duplicates(
            pl.concat([sample.with_columns(source_set=pl.lit(name)) for name, sample in samples.items()])
        ),
    )


def _sample(settings: Settings, index: Index) -> pl.DataFrame:
    """Return measured clips of a source set: its shards in an order that chance decides, until there are enough."""
    shards = sorted(
        {shard.digest for shard in index.shards if shard.rows}, key=lambda digest: digest_json([SEED, digest])
    )
    groups = max(GROUPS_PER_SHARD, math.ceil(CLIPS_PER_SOURCE / (ROW_GROUP * max(len(shards), 1))))
    frames: list[pl.DataFrame] = []
    for shard in shards:
        if sum(frame.height for frame in frames) >= CLIPS_PER_SOURCE:
            break
        frames.append(measured(settings, shard, groups, SEED))
    return pl.concat(frames) if frames else pl.DataFrame(schema=SCHEMA)


def _source(sample: pl.DataFrame, index: Index, sessions: SessionFigures) -> SourceSound:
    offsets = sample["offset"].to_numpy()
    return SourceSound(
        of=sum(shard.rows for shard in index.shards),
        measured=sample.height,
        clipped=int(sample["clipped"].sum()),
        offset=int((np.abs(offsets) > OFFSET_LIMIT).sum()),
        mean_offset=float(offsets.mean()) if len(offsets) else 0.0,
        alignment=_alignment(sample),
        sessions=sessions,
    )


def _alignment(sample: pl.DataFrame) -> Alignment:
    """Return attack minus onset over the strokes that stand alone."""
    alone = (pl.col("previous_gap").fill_null(math.inf) >= ALONE_S) & (
        pl.col("next_gap").fill_null(math.inf) >= ALONE_S
    )
    labelled = pl.col("labels").list.len() > 0
    chosen = sample.filter(alone & labelled)["attack_ms"]
    heard = chosen.drop_nulls().to_numpy()
    low, median, high = np.quantile(heard, (0.25, 0.5, 0.75)).tolist() if len(heard) >= FEWEST else (None,) * 3
    inside = np.clip(heard, ALIGNMENT_EDGES_MS[0], ALIGNMENT_EDGES_MS[-1])
    return Alignment(
        alone=len(chosen),
        strokes=len(heard),
        median_ms=median,
        low_ms=low,
        high_ms=high,
        edges=ALIGNMENT_EDGES_MS,
        counts=tuple(np.histogram(inside, ALIGNMENT_EDGES_MS)[0].tolist()),
    )

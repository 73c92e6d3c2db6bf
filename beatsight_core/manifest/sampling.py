"""How much a session weighs when examples are drawn: long sessions of one sound must not drown the short ones.

The weight of a session is a power of how many of its events count, held within limits. Events that repeat session,
onset and components count once; of a file and of a session only so many count. Profiles are data, in `sampling.toml`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from beatsight_core.errors import SettingsError
from beatsight_core.manifest.catalog import Catalog


@dataclass(frozen=True)
class SourceSampling:
    """What a profile says about one source set.

    Attributes:
        exponent: Of the number of events that count.
        least: Lower limit of the weight.
        most: Upper limit of the weight.
        events_per_session: No more events of a session count.
        events_per_file: No more events of a session in one file count.
    """

    exponent: float = -0.5
    least: float = 0.05
    most: float = 0.5
    events_per_session: int | None = None
    events_per_file: int | None = None


@dataclass(frozen=True)
class SamplingProfile:
    """A named profile.

    Attributes:
        name: Its name.
        default: For source sets that it does not name.
        sources: Source set -> its own values.
        boosts: Technique -> what its events weigh more, as a share.
    """

    name: str
    default: SourceSampling
    sources: Mapping[str, SourceSampling] = field(default_factory=dict)
    boosts: Mapping[str, float] = field(default_factory=dict)

    def source(self, name: str) -> SourceSampling:
        """What applies to a source set."""
        return self.sources.get(name, self.default)


def load_profile(name: str) -> SamplingProfile:
    """A profile of `sampling.toml`.

    Raises:
        SettingsError: There is none of that name.
    """
    text = resources.files("beatsight_core.manifest").joinpath("sampling.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    if name not in tables:
        raise SettingsError(f"There is no sampling profile {name!r}", do=f"use one of {', '.join(sorted(tables))}")
    table: dict[str, Any] = tables[name]
    boosts, sources = table.pop("boosts", {}), table.pop("sources", {})
    return SamplingProfile(
        name,
        SourceSampling(**table),
        {source: SourceSampling(**table | values) for source, values in sources.items()},
        boosts,
    )


def session_weights(catalog: Catalog, profile: SamplingProfile) -> pl.DataFrame:
    """The weight of every session.

    Returns:
        One row per source set and session, in that order: `source_set`, `session_id`, `events`, `duplicates` (events
        that repeat another), `counted` (events that bear on the weight), `weight`.
    """
    strokes = (
        pl.scan_parquet(catalog.events_path)
        .select(
            "source_set",
            "session_id",
            "audio_path",
            "onset_time",
            pl.col("labels").list.unique().list.sort().list.join("+").alias("strokes"),
        )
        .group_by("source_set", "session_id", "onset_time", "strokes")
        .agg(pl.len().alias("events"), pl.col("audio_path").min())
    )
    files = strokes.group_by("source_set", "session_id", "audio_path").agg(
        pl.col("events").sum().cast(pl.Int64), pl.len().cast(pl.Int64).alias("different")
    )
    table = files.collect(engine="streaming")
    limits = [profile.source(source).events_per_file for source in table["source_set"]]
    capped = pl.Series("counted", limits, pl.Int64).fill_null(np.iinfo(np.int64).max)
    sessions = (
        table.with_columns(pl.min_horizontal("different", capped).alias("counted"))
        .group_by("source_set", "session_id")
        .agg(pl.col("events").sum(), pl.col("different").sum(), pl.col("counted").sum())
        .sort("source_set", "session_id")
    )
    return _weighted(sessions, profile)


def hit_weights(hits: pl.DataFrame, sessions: pl.DataFrame, profile: SamplingProfile) -> npt.NDArray[np.float64]:
    """The weight of every hit: its session's, more for techniques that the profile boosts; the largest boost applies.

    Args:
        hits: Columns source_set, session_id and techniques.
        sessions: As `session_weights` gives them.
        profile: Its boosts.

    Returns:
        Shape (hits,).

    Raises:
        KeyError: A hit's session has no weight.
    """
    weights = {(source, session): weight for source, session, weight in sessions.select(
        "source_set", "session_id", "weight").iter_rows()}  # fmt: skip
    boosts = profile.boosts
    rows = hits.select("source_set", "session_id", "techniques").iter_rows()
    return np.array(
        [
            weights[source, session] * (1.0 + max((boosts.get(name, 0.0) for name in techniques), default=0.0))
            for source, session, techniques in rows
        ],
        np.float64,
    )


def _weighted(sessions: pl.DataFrame, profile: SamplingProfile) -> pl.DataFrame:
    rows = [profile.source(source) for source in sessions["source_set"]]
    counted = np.array(
        [min(count, row.events_per_session or count) for count, row in zip(sessions["counted"], rows, strict=True)],
        np.int64,
    )
    exponents, least, most = (
        np.array([getattr(row, name) for row in rows], np.float64) for name in ("exponent", "least", "most")
    )
    return sessions.select(
        "source_set",
        "session_id",
        "events",
        (pl.col("events") - pl.col("different")).alias("duplicates"),
        pl.Series("counted", counted),
        pl.Series("weight", np.clip(counted.astype(np.float64) ** exponents, least, most)),
    )

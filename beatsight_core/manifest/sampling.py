"""How much a session weighs when examples are drawn: long sessions of one sound must not drown the short ones.

The weight of a session is a power of how many of its events count, held within limits. Events that repeat session,
onset and components count once; of a file and of a session only so many count. Profiles are data, in `sampling.toml`;
settings name one and may change what it says of a source set. The weights lie beside the catalog in `sessions.parquet`,
with the counts that they are made from, so that another profile needs no look at the events.
"""

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from beatsight_core.errors import SettingsError
from beatsight_core.files import atomic_path, digest_json, unless_read_only
from beatsight_core.manifest.catalog import Catalog
from beatsight_core.manifest.sessions import SessionPart, count_sessions
from beatsight_core.settings import Settings

METADATA = b"beatsight.sampling"
"""Key of the file's metadata that holds the profile, as JSON."""

SESSION_SCHEMA = pa.schema(
    [
        pa.field("source_set", pa.string(), nullable=False),
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("events", pa.int64(), nullable=False),
        pa.field("duplicates", pa.int64(), nullable=False),  # events that repeat another's session, onset, components
        pa.field("counted", pa.int64(), nullable=False),  # events that bear on the weight
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("files", pa.list_(pa.string()), nullable=False),  # audio paths, sorted
        pa.field("events_by_file", pa.list_(pa.int64()), nullable=False),  # parallel to files
        pa.field("strokes_by_file", pa.list_(pa.int64()), nullable=False),  # parallel to files: without duplicates
    ]
)
"""`sessions.parquet`: ordered by source_set, session_id."""


@dataclass(frozen=True)
class SourceSampling:
    """What a profile says about one source set.

    Attributes:
        exponent: Power to which the number of events that count is raised; the result is the weight.
        least: Lower limit of the weight.
        most: Upper limit of the weight.
        events_per_session: Number of events of a session that count at most.
        events_per_file: Number of events of a session in one file that count at most.
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
        name: Name of the profile, as settings have it.
        default: Values for source sets that it does not name.
        sources: Source set -> its own values.
        boosts: Technique -> what its events weigh more, as a share.
    """

    name: str
    default: SourceSampling
    sources: Mapping[str, SourceSampling] = field(default_factory=dict)
    boosts: Mapping[str, float] = field(default_factory=dict)

    def source(self, name: str) -> SourceSampling:
        """Return the values that apply to a source set."""
        return self.sources.get(name, self.default)


@dataclass(frozen=True)
class Sampling:
    """The weights of a catalog's sessions.

    Attributes:
        profile: Profile that they follow.
        sessions: Table with the columns of `SESSION_SCHEMA`, one row per session.
    """

    profile: SamplingProfile
    sessions: pl.DataFrame

    def hit_weights(self, hits: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Return the weight of every hit: its session's, raised by the largest boost of its techniques.

        Args:
            hits: Table with the columns source_set, session_id and techniques.

        Returns:
            Shape (hits,).

        Raises:
            KeyError: A hit's session has no weight.
        """
        boosts = self.profile.boosts
        table = hits.select("source_set", "session_id", "techniques").join(
            self.sessions.select("source_set", "session_id", "weight"),
            on=["source_set", "session_id"],
            how="left",
            maintain_order="left",
        )
        if table["weight"].has_nulls():
            raise KeyError(table.filter(pl.col("weight").is_null())["session_id"][0])
        boost = (
            pl.col("techniques")
            .list.eval(pl.element().replace_strict(dict(boosts), default=0.0, return_dtype=pl.Float64))
            .list.max()
            .fill_null(0.0)
        )
        weights: npt.NDArray[np.float64] = table.select(pl.col("weight") * (1.0 + boost)).to_series().to_numpy()
        return weights

    def by_source(self) -> dict[str, dict[str, float]]:
        """Return by source set its sessions, counted events, and the least, median and greatest weight."""
        table = self.sessions.group_by("source_set", maintain_order=True).agg(
            pl.len().alias("sessions"),
            pl.col("counted").sum(),
            pl.col("weight").min().alias("least"),
            pl.col("weight").median().alias("median"),
            pl.col("weight").max().alias("most"),
        )
        return {row.pop("source_set"): row for row in table.iter_rows(named=True)}


def load_profile(name: str, sources: Mapping[str, Mapping[str, float]] | None = None) -> SamplingProfile:
    """Return a profile of `sampling.toml`.

    Args:
        name: Name of the profile.
        sources: Source set -> values that replace the profile's.

    Raises:
        SettingsError: No profile has that name, or a value has no such name or makes no sense.
    """
    text = resources.files("beatsight_core.manifest").joinpath("sampling.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    if name not in tables:
        raise SettingsError(f"There is no sampling profile {name!r}", do=f"use one of {', '.join(sorted(tables))}")
    table: dict[str, Any] = tables[name]
    boosts, own = table.pop("boosts", {}), table.pop("sources", {})
    given = {source: values for source, values in (sources or {}).items() if values}
    merged = {source: own.get(source, {}) | dict(given.get(source, {})) for source in {**own, **given}}
    return SamplingProfile(
        name,
        SourceSampling(**table),
        {source: _source_sampling(source, table | values) for source, values in sorted(merged.items())},
        boosts,
    )


def profile_of(settings: Settings) -> SamplingProfile:
    """Return the profile that settings ask for.

    Raises:
        SettingsError: `dataset.sampling` or a source set's `sampling` is wrong.
    """
    return load_profile(settings.dataset.sampling, {name: source.sampling for name, source in settings.sources.items()})


def write_sampling(catalog: Catalog, parts: Iterable[SessionPart], profile: SamplingProfile) -> Sampling:
    """Weigh the sessions of a catalog and put them beside it.

    Raises:
        StorageError: The file cannot be written. An earlier one is then as it was.
    """
    sessions = weigh(parts, profile)
    table = sessions.to_arrow().cast(SESSION_SCHEMA)
    said = dataclasses.asdict(profile) | {"digest": _digest(profile)}
    said_bytes = orjson.dumps(said | {"seal": _seal(said, table)}, option=orjson.OPT_SORT_KEYS)
    with atomic_path(catalog.sessions_path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({METADATA: said_bytes}),
            temporary,
            compression="zstd",
            write_page_checksum=True,
        )
    return Sampling(profile, sessions)


def read_sampling(settings: Settings, catalog: Catalog) -> Sampling:
    """Return the weights of a catalog's sessions, by the profile of these settings.

    A file that follows another profile, is damaged or is not there is replaced.

    Raises:
        SettingsError: The profile is wrong.
        StorageError: The catalog cannot be read, or the file not be replaced.
    """
    profile = profile_of(settings)
    try:
        with pq.ParquetFile(catalog.sessions_path, page_checksum_verification=True) as file:
            said = orjson.loads(file.schema_arrow.metadata[METADATA])
            table = file.read()
        whole = said.pop("seal") == _seal(said, table)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, pa.ArrowException):
        whole = False
    if not whole:
        return _kept_if_possible(catalog, count_sessions(catalog.events_path), profile)
    sessions = pl.DataFrame(table)
    if said["digest"] == _digest(profile):
        return Sampling(profile, sessions)
    return _kept_if_possible(catalog, _parts(sessions), profile)


def _kept_if_possible(catalog: Catalog, parts: Iterable[SessionPart], profile: SamplingProfile) -> Sampling:
    """The weights, put beside the catalog unless nothing may be written there."""
    parts = list(parts)
    with unless_read_only():
        return write_sampling(catalog, parts, profile)
    return Sampling(profile, weigh(parts, profile))


def weigh(parts: Iterable[SessionPart], profile: SamplingProfile) -> pl.DataFrame:
    """Return the weight of every session, in the columns of `SESSION_SCHEMA`.

    Args:
        parts: Parts of the sessions, ordered by source set, session and file.
        profile: Profile that gives the weights.
    """
    rows = []
    for (source, session), group in groupby(parts, lambda part: (part.source_set, part.session_id)):
        members = list(group)
        rule = profile.source(source)
        counted = sum(min(part.different, _limit(rule.events_per_file)) for part in members)
        counted = min(counted, _limit(rule.events_per_session))
        events = sum(part.events for part in members)
        rows.append(
            {
                "source_set": source,
                "session_id": session,
                "events": events,
                "duplicates": events - sum(part.different for part in members),
                "counted": counted,
                "weight": float(np.clip(float(counted) ** rule.exponent, rule.least, rule.most)) if counted else 0.0,
                "files": [part.audio_path for part in members],
                "events_by_file": [part.events for part in members],
                "strokes_by_file": [part.different for part in members],
            }
        )
    return pl.DataFrame(pa.Table.from_pylist(rows, schema=SESSION_SCHEMA))


def _parts(sessions: pl.DataFrame) -> list[SessionPart]:
    columns = ("source_set", "session_id", "files", "events_by_file", "strokes_by_file")
    return [
        SessionPart(source, session, *part)
        for source, session, *lists in sessions.select(columns).iter_rows()
        for part in zip(*lists, strict=True)
    ]


def _source_sampling(source: str, values: dict[str, Any]) -> SourceSampling:
    where = f"sources.{source}.sampling"
    unknown = sorted(set(values) - {item.name for item in dataclasses.fields(SourceSampling)})
    if unknown:
        known = ", ".join(item.name for item in dataclasses.fields(SourceSampling))
        raise SettingsError(f"{where} does not know {', '.join(unknown)}", do=f"use {known}")
    sampling = SourceSampling(**values)
    limits = (sampling.events_per_session, sampling.events_per_file)
    if not 0 < sampling.least <= sampling.most or any(limit is not None and limit < 1 for limit in limits):
        raise SettingsError(
            f"{where} makes no sense", why=str(sampling), do="0 < least <= most, and limits of at least one event"
        )
    return sampling


def _seal(said: dict[str, Any], table: pa.Table) -> str:
    """What shows that a file is as it was written."""
    return digest_json([said, table.to_pydict()])


def _digest(profile: SamplingProfile) -> str:
    return digest_json(dataclasses.asdict(profile))


def _limit(limit: int | None) -> int:
    return np.iinfo(np.int64).max if limit is None else int(limit)

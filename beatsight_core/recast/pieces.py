"""The training sessions of a manifest as pieces to be played again: components, times, strengths, and origin.

A piece is a minute at most of one session in one audio file, and gets a kit and a file of its own. A round ends with a
roll call, in which every component is played alone.
"""

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import polars as pl

from beatsight_core.errors import ManifestError
from beatsight_core.manifest.catalog import Catalog
from beatsight_core.manifest.splits import split_of_group
from beatsight_core.names import distinct_name, file_name
from beatsight_core.recast.exchange import HitComponent
from beatsight_core.settings import DatasetSettings
from beatsight_core.taxonomy import CORE, Taxonomy
from beatsight_core.typed_json import JsonObject
from beatsight_core.units import seconds_to_samples

RATE_HZ = 44100
LEAD_S, TAIL_S = 0.25, 1.5
"""Silence before a piece's first hit, and sound after its last."""

PIECE_S = 60.0
"""A hit so much later than a piece's first begins another piece."""

_KNOWN_VELOCITY = 0.7
"""Of strokes whose velocity the manifest does not state."""

_CALLED, _CALL_VELOCITIES, _CALL_S = "roll_call", (0.3, 0.55, 0.8, 1.0), 0.8

_CARRIED = ("tempo_bpm", "meter", "bar_index", "beat_index", "midi_path")
"""What stays true of a hit whatever it is played on."""

_TIMING = frozenset({"metric_modulation", "variable_meter"})
"""The techniques of which that is so; others are of strokes that may have been exchanged."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Strokes that belong together.

    Attributes:
        sample: Sample of the piece's file that it begins at.
        written: Components that the manifest states.
        about: Fields of the event that are carried over.
    """

    sample: int
    written: tuple[HitComponent, ...]
    about: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """The content of one file to be played.

    Attributes:
        session_id: Id of the recast session; the platform's own rule puts it into train.
        source_set: Source set of the recast sessions.
        audio_path: Path of the file, relative to the source set's root.
        seed: Seed of all that is drawn for it.
        spelling: Playable component -> the label that events give it.
        hits: Hits in order of time.
        as_written: True to play exactly what is written.
    """

    session_id: str
    source_set: str
    audio_path: str
    seed: tuple[int, ...]
    spelling: Mapping[str, str]
    hits: tuple[Hit, ...]
    as_written: bool = False

    @property
    def samples(self) -> int:
        """Length of its file."""
        return self.hits[-1].sample + int(TAIL_S * RATE_HZ)


@dataclass(frozen=True, slots=True)
class Casting:
    """The properties that pieces get beside their hits.

    Attributes:
        stem: Stem of the manifest's name.
        source_set: Source set of the recast sessions.
        seed: Seed of everything.
        rounds: Number of times that each session is played.
        dataset: Ratios of the splits.
        spelling: Playable component -> its label in the taxonomy.
    """

    stem: str
    source_set: str
    seed: int
    rounds: int
    dataset: DatasetSettings
    spelling: Mapping[str, str]

    def piece(self, session: str, part: int, number: int, hits: tuple[Hit, ...], *, as_written: bool = False) -> Piece:
        """Return a part of a session, in one of the rounds."""
        session_id = self._session_id(f"{session}_{self.source_set}{number + 1}_{part + 1:02d}")
        place = hashlib.sha256(f"{session}\n{part}".encode()).digest()[:8]
        seed = (self.seed, number, int.from_bytes(place, "big"))
        audio_path = f"{file_name(self.stem)}/{distinct_name(session_id)}.flac"
        return Piece(session_id, self.source_set, audio_path, seed, self.spelling, hits, as_written)

    def roll_call(self, number: int) -> Piece:
        """Return a piece with every playable component alone, soft to loud."""
        calls = itertools.product(_CALL_VELOCITIES, self.spelling)
        hits = tuple(
            Hit(_sample(place * _CALL_S), (HitComponent(component, velocity),))
            for place, (velocity, component) in enumerate(calls)
        )
        return self.piece(f"{self.stem}_{_CALLED}", 0, number, hits, as_written=True)

    def _session_id(self, stem: str) -> str:
        takes = (f"{stem}_take{take}" for take in itertools.count(1))
        return next(take for take in takes if split_of_group(take, self.dataset) == "train")


def spelling_in(taxonomy: Taxonomy) -> dict[str, str]:
    """Return component -> its label in a taxonomy, for components that kits have bodies for and that it has."""
    return {name: label for name in CORE.components if (label := taxonomy.resolve(name)) is not None}


class Score:
    """The training hits of a catalog, cut into pieces; each is made when it is asked for.

    Args:
        catalog: Catalog of the manifest.
        spelling: Playable component -> its label in the taxonomy.

    Attributes:
        left_out: Label that no kit can play -> its strokes.
        hits: Number of hits to play.
        sessions: Number of sessions that they are of.
        seconds: Length of all pieces together.

    Raises:
        ManifestError: There is nothing to play.
    """

    def __init__(self, catalog: Catalog, spelling: Mapping[str, str]):
        self._played_as = {label: component for component, label in spelling.items()}
        training = _training_hits(catalog)
        counts = training["labels"].explode().value_counts()
        totals = dict(zip(counts["labels"].to_list(), counts["count"].to_list(), strict=True))
        self.left_out = {label: totals[label] for label in sorted(totals.keys() - self._played_as.keys())}
        playable = pl.element().is_in(list(self._played_as))
        self._rows = training.filter(pl.col("labels").list.eval(playable).list.any())
        if self._rows.is_empty():
            raise ManifestError(
                "The manifest holds no training hit that a kit can play",
                where=catalog.summary.manifest,
                why=f"{catalog.summary.hits_by_split['train']:,} of its hits train, and kits lack "
                f"{', '.join(self.left_out) or 'nothing of them'}",
                do="name a manifest of performances whose components are known; see `beatsight manifest stats`",
            )
        self._bounds, self._parts = _cut(self._rows)
        self.hits, self.sessions = len(self._rows), int(self._rows["session_id"].n_unique())
        onsets = self._rows["onset_time"].to_numpy()
        lengths = onsets[self._bounds[1:] - 1] - onsets[self._bounds[:-1]]
        self.seconds = float((lengths + LEAD_S + TAIL_S).sum())

    def __len__(self) -> int:
        return len(self._parts)

    def part(self, number: int) -> tuple[str, int, tuple[Hit, ...]]:
        """Return a piece's session, its number in that, and its hits."""
        start, end = int(self._bounds[number]), int(self._bounds[number + 1])
        rows = self._rows[start:end].to_dicts()
        first_s = rows[0]["onset_time"]
        hits = tuple(Hit(_sample(row["onset_time"] - first_s), self._written(row), _about(row)) for row in rows)
        return rows[0]["session_id"], int(self._parts[number]), hits

    def _written(self, row: dict[str, Any]) -> tuple[HitComponent, ...]:
        return tuple(
            HitComponent(self._played_as[label], _KNOWN_VELOCITY if velocity is None else round(velocity, 4), openness)
            for label, velocity, openness in zip(row["labels"], row["velocities"], row["openness"], strict=True)
            if label in self._played_as
        )


def _training_hits(catalog: Catalog) -> pl.DataFrame:
    """The hits that train, in order of session, file and time; what several files of a session hold counts once."""
    place = ("session_id", "source_set", "audio_path", "onset_time")
    columns = (*place, "labels", "velocities", "openness", "techniques", "event_ids", "drummer_id")
    trains = (pl.col("split") == "train") & (pl.col("labels").list.len() > 0)
    hits = (
        pl.scan_parquet(catalog.hits_path, glob=False)
        .filter(trains)
        .select(*columns, event_id=pl.col("event_ids").list.first())
    )
    stated = pl.scan_parquet(catalog.events_path, glob=False).select(
        "event_id", "extra", "context_pre_ms", "context_post_ms"
    )
    rows = hits.join(stated, on="event_id", how="left").sort(place).with_columns(set=pl.col("labels").list.join(" "))
    return rows.unique(["session_id", "onset_time", "set"], keep="first", maintain_order=True).drop("set").collect()


def _cut(rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Where pieces begin and the last one ends, and each piece's number within its session."""
    sessions, files = rows["session_id"].rle_id().to_list(), rows.select(pl.struct("source_set", "audio_path").rle_id())
    onsets, places = rows["onset_time"].to_list(), files.to_series().to_list()
    starts, parts = [0], [0]
    for row in range(1, len(onsets)):
        start = starts[-1]
        same = sessions[row] == sessions[start]
        if not same or places[row] != places[start] or onsets[row] - onsets[start] >= PIECE_S:
            starts.append(row)
            parts.append(parts[-1] + 1 if same else 0)
    return np.array([*starts, len(onsets)]), np.array(parts)


def _sample(seconds: float) -> int:
    return seconds_to_samples(LEAD_S + seconds, RATE_HZ)


def _about(row: dict[str, Any]) -> JsonObject:
    stated = orjson.loads(row["extra"]) if row["extra"] else {}
    about: JsonObject = {name: stated[name] for name in _CARRIED if stated.get(name) is not None}
    if row["drummer_id"] is not None:
        about["drummer_id"] = row["drummer_id"]
    pre_ms, post_ms = row["context_pre_ms"], row["context_post_ms"]
    if pre_ms is not None and post_ms is not None:
        about["context_ms"] = {"pre": pre_ms, "post": post_ms}
    about["techniques"] = [technique for technique in row["techniques"] if technique in _TIMING]
    about["metadata_ref"] = row["event_id"]
    if len(row["event_ids"]) > 1:
        about["recast_of"] = row["event_ids"]
    return about

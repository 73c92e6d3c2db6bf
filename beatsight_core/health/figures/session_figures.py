"""Which recordings of a source set do not sound where their labels are: measured one by one, from a sample.

All recordings are measured of a dataset that is small enough; of a larger one those that a seeded choice of row groups
meets. A recording is an audio file of a session; a session of several files is also measured as a whole, so that files
of a few strokes each are not passed over.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from beatsight_core.dataset.index import Index
from beatsight_core.dataset.shards.shard_schema import ROW_GROUP
from beatsight_core.files import digest_json
from beatsight_core.health.figures import session_shifts as shifts
from beatsight_core.health.figures.measured_shards import kept
from beatsight_core.health.figures.session_shifts import Shift, measure_shift
from beatsight_core.health.figures.timed_shards import SCHEMA as CLIP_SCHEMA
from beatsight_core.health.figures.timed_shards import strengths_of, timed
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject, from_json, to_json

MOST_GROUPS = 128
"""Row groups that are read of a source set, about."""

MOST_CLIPS = 48
"""Clips that are looked at of a recording: with 48, all but 2 of 100 sessions of two recorded kits are judged."""

MEASURABLE = 0.1
"""With a smaller share of recordings that can be measured surely, none is said to begin nowhere near its labels: that
source set begins too softly to tell."""


FORMAT = 1
"""Grows with any change of what is measured or how."""

SCHEMA = pl.Schema({
    "session_id": pl.String, "audio_path": pl.String, "clips": pl.Int64, "shift_ms": pl.Float64,
    "drift_ms": pl.Float64, "seconds": pl.Float64, "sure": pl.Float64, "present": pl.Float64,
    "clear": pl.Float64,
})  # fmt: skip
"""A row per recording, kept by the dataset's digest beside what was measured of its shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRecording(Shift):
    """A recording as measured.

    Attributes:
        session_id: Name of its session.
        audio_path: Path of its file; None for a session of several files as a whole.
    """

    session_id: str
    audio_path: str | None

    @property
    def is_lost(self) -> bool:
        """Whether it begins nowhere near its labels."""
        return self.found(math.inf) == shifts.LOST


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """The recordings of a source set.

    Attributes:
        clips: Number of clips that were measured.
        sessions: Number of sessions that have one.
        few: Sessions that are not judged, as they have too few clips.
        unsure: Sessions that are not judged, as nothing is sure of them.
        recordings: Recordings that are judged.
    """

    clips: int
    sessions: int
    few: int
    unsure: int
    recordings: tuple[MeasuredRecording, ...]

    @property
    def judged(self) -> int:
        """Number of sessions that are judged."""
        return len({recording.session_id for recording in self.recordings})

    @property
    def unjudged(self) -> int:
        """Number of sessions that are not."""
        return self.few + self.unsure


@dataclass(frozen=True, slots=True)
class OutOfTime:
    """A recording whose sound is not where its labels are.

    Attributes:
        source_set: Name of its source set.
        recording: Recording as measured.
        outcome: Outcome, one of `session_shifts.OUTLIERS`.
    """

    source_set: str
    recording: MeasuredRecording
    outcome: str

    @property
    def ends_ms(self) -> tuple[float, ...]:
        """Sound minus label: one distance, the first and the last of one that drifts, none of one that is lost."""
        middle, growth = self.recording.shift_ms, self.recording.drift_ms
        if middle is None:
            return ()
        return (middle - growth / 2, middle + growth / 2) if self.outcome == shifts.DRIFTS else (middle,)

    def to_json(self) -> JsonObject:
        """Return it as a line of `out_of_time.jsonl`, which also serves as a file of shifts."""
        named: JsonObject = {"source_set": self.source_set, "session_id": None, "audio_path": None}
        return named | to_json(self.recording) | {"found": self.outcome}


def session_figures(settings: Settings, index: Index, seed: int) -> SessionFigures:
    """Measure the recordings of a source set.

    Args:
        settings: Folders of datasets.
        index: Index of the source set.
        seed: Seed of the choice of clips.

    Raises:
        DatasetError: A shard cannot be read.
        StorageError: A measurement cannot be written.
    """
    name = f"{index.digest}-sessions-{FORMAT}-{seed}"
    frame = kept(settings, index.digest, name, SCHEMA, lambda _: _measure(settings, index, seed))
    found = [from_json(MeasuredRecording, row) for row in frame.iter_rows(named=True)]
    with_lost = _lost_count(found) > 0
    judged = tuple(one for one in found if one.shift_ms is not None or (with_lost and one.is_lost))
    sessions = {one.session_id for one in found}
    unjudged = sessions - {one.session_id for one in judged}
    enough = {one.session_id for one in found if one.clips >= shifts.FEWEST}
    return SessionFigures(
        clips=sum(one.clips for one in found if one.audio_path is not None),
        sessions=len(sessions),
        few=len(unjudged - enough),
        unsure=len(unjudged & enough),
        recordings=judged,
    )


def out_of_time(sources: Mapping[str, SessionFigures], limit_ms: float) -> list[OutOfTime]:
    """Return the recordings that are out of time: of each source set the furthest first, last those that are lost.

    Args:
        sources: Source set -> its recordings.
        limit_ms: Distance that sound and label may have.
    """
    found = []
    for name, sessions in sources.items():
        rows = [OutOfTime(name, one, one.found(limit_ms)) for one in sessions.recordings]
        found += sorted((row for row in rows if row.outcome in shifts.OUTLIERS), key=_how_far, reverse=True)
    return found


def _measure(settings: Settings, index: Index, seed: int) -> pl.DataFrame:
    """Return every recording, in the columns of `SCHEMA`."""
    rows = [asdict(one) for one in _recordings(_sample(settings, index, seed), seed)]
    return pl.DataFrame(rows, schema=SCHEMA)


def _sample(settings: Settings, index: Index, seed: int) -> pl.DataFrame:
    """Return measured clips of a source set: its shards in an order that chance decides, until there are enough."""
    groups = {shard.digest: math.ceil(shard.rows / ROW_GROUP) for shard in index.shards if shard.rows}
    whole = sum(groups.values()) <= MOST_GROUPS
    most = max(groups.values(), default=0) if whole else math.ceil(MOST_GROUPS / len(groups))
    frames: list[pl.DataFrame] = []
    read = 0
    for shard in sorted(groups, key=lambda digest: digest_json([seed, digest])):
        if read >= MOST_GROUPS:
            break
        frames.append(timed(settings, shard, most, seed))
        read += min(most, groups[shard])
    return pl.concat(frames) if frames else pl.DataFrame(schema=CLIP_SCHEMA)


def _recordings(clips: pl.DataFrame, seed: int) -> Iterator[MeasuredRecording]:
    """Yield every recording, and every session of several files as a whole."""
    ordered = clips.sort("session_id", "audio_path", "onset_time")
    for (session,), whole in ordered.group_by("session_id", maintain_order=True):
        files = whole.partition_by("audio_path", maintain_order=True)
        for part in files:
            yield _recording(str(session), str(part["audio_path"][0]), part, seed)
        if len(files) > 1:
            # A session as a whole has no time of its own: each file begins at 0.
            yield _recording(str(session), None, whole.with_columns(onset_time=pl.lit(0.0)), seed)


def _recording(session: str, path: str | None, clips: pl.DataFrame, seed: int) -> MeasuredRecording:
    part = _thinned(clips)
    draws = int(digest_json([seed, session, path])[:8], 16)
    shift = measure_shift(strengths_of(part), part["onset_time"].to_numpy(), draws)
    return MeasuredRecording(**asdict(shift), session_id=session, audio_path=path)


def _thinned(part: pl.DataFrame) -> pl.DataFrame:
    """Return at most so many clips, evenly of all."""
    if part.height <= MOST_CLIPS:
        return part
    return part[[place * part.height // MOST_CLIPS for place in range(MOST_CLIPS)]]


def _lost_count(found: Sequence[MeasuredRecording]) -> int:
    """Return how many recordings begin nowhere near their labels; 0 where hardly any can be measured at all."""
    lost = sum(one.is_lost for one in found)
    sure = sum(one.shift_ms is not None for one in found)
    return lost if sure >= MEASURABLE * (sure + lost) else 0


def _how_far(row: OutOfTime) -> float:
    measured = row.recording
    return -1.0 if measured.shift_ms is None else abs(measured.shift_ms) + abs(measured.drift_ms) / 2

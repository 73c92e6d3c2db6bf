"""Which recordings of a source set do not sound where their labels are: measured one by one, from a sample.

All recordings are measured of a dataset that is small enough; of a larger one those that a seeded choice of row groups
meets. A recording is an audio file of a session; a session of several files is also measured as a whole, so that files
of a few strokes each are not passed over.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from beatsight_core.dataset.index import Index
from beatsight_core.dataset.shards.schema import ROW_GROUP
from beatsight_core.files import digest_json
from beatsight_core.health.figures import session_shifts as shifts
from beatsight_core.health.figures.measured_shards import kept
from beatsight_core.health.figures.session_shifts import Shift, measure_shift
from beatsight_core.health.figures.timed_shards import SCHEMA as CLIP_SCHEMA
from beatsight_core.health.figures.timed_shards import strengths_of, timed
from beatsight_core.settings import Settings

MOST_GROUPS = 128
"""Row groups that are read of a source set, about."""

MOST_CLIPS = 48
"""Clips that are looked at of a recording: with 48, all but 2 of 100 sessions of two recorded kits are judged."""

MEASURABLE = 0.1
"""With a smaller share of recordings that can be measured surely, none is said to begin nowhere near its labels: that
source set begins too softly to tell."""


FORMAT = 1
"""Grows with any change of what is measured or how."""

SCHEMA: dict[str, Any] = {
    "session_id": pl.String, "audio_path": pl.String, "clips": pl.Int64, "shift_ms": pl.Float64,
    "drift_ms": pl.Float64, "seconds": pl.Float64, "sure": pl.Float64, "present": pl.Float64,
    "clear": pl.Float64,
}  # fmt: skip
"""A row per recording, kept by the dataset's digest beside what was measured of its shards."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as measured.

    Attributes:
        session_id: Its session.
        audio_path: The file; None for a session of several files as a whole.
        shift: What was measured.
    """

    session_id: str
    audio_path: str | None
    shift: Shift

    @property
    def is_lost(self) -> bool:
        """Whether it begins nowhere near its labels."""
        return self.shift.found(math.inf) == shifts.LOST

    def to_json(self) -> dict[str, Any]:
        """Session, file, and what was measured."""
        return {"session_id": self.session_id, "audio_path": self.audio_path, **self.shift.to_json()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Recording":
        """The reverse of `to_json`."""
        return cls(row["session_id"], row["audio_path"], Shift(**{name: row[name] for name in Shift.__slots__}))


def session_figures(settings: Settings, index: Index, seed: int) -> dict[str, Any]:
    """Measure the recordings of a source set.

    Args:
        settings: Say where datasets lie.
        index: Of the source set.
        seed: Of the choice of clips.

    Returns:
        `clips` (measured), `sessions` (that have one), `few` and `unsure` (sessions that are not judged), and
        `recordings`: of each one that is judged `session_id`, `audio_path` (None for a session of several files as a
        whole) and what `Shift.to_json` gives.

    Raises:
        DatasetError: A shard cannot be read.
        StorageError: What was measured cannot be kept.
    """
    name = f"{index.digest}-sessions-{FORMAT}-{seed}"
    frame = kept(settings, index.digest, name, SCHEMA, lambda _: _measure(settings, index, seed))
    found = [Recording.from_row(row) for row in frame.iter_rows(named=True)]
    with_lost = _lost_count(found) > 0
    judged = [one for one in found if one.shift.shift_ms is not None or (with_lost and one.is_lost)]
    sessions = {one.session_id for one in found}
    unjudged = sessions - {one.session_id for one in judged}
    enough = {one.session_id for one in found if one.shift.clips >= shifts.FEWEST}
    return {
        "clips": sum(one.shift.clips for one in found if one.audio_path is not None),
        "sessions": len(sessions),
        "few": len(unjudged - enough),
        "unsure": len(unjudged & enough),
        "recordings": [one.to_json() for one in judged],
    }


def outlying(sessions: Mapping[str, Any], limit_ms: float) -> list[dict[str, Any]]:
    """The recordings that are out of time, the furthest first, each with what was `found`; last those that are lost.

    Args:
        sessions: As `session_figures` gives them.
        limit_ms: How far sound and label may be apart.
    """
    rows = [{**row, "found": Recording.from_row(row).shift.found(limit_ms)} for row in sessions["recordings"]]
    return sorted((row for row in rows if row["found"] in shifts.OUTLIERS), key=_how_far, reverse=True)


def out_of_time(figures: Mapping[str, Any], limit_ms: float) -> list[dict[str, Any]]:
    """`outlying` of every source set, with its name.

    Args:
        figures: `statistics` of a report.
        limit_ms: How far sound and label may be apart.
    """
    sources = figures["sound"]["by_source"] if figures["sound"] else {}
    return [{"source_set": name, **row} for name, one in sources.items() for row in outlying(one["sessions"], limit_ms)]


def judged_sessions(sessions: Mapping[str, Any]) -> int:
    """How many sessions are judged."""
    return len({row["session_id"] for row in sessions["recordings"]})


def _measure(settings: Settings, index: Index, seed: int) -> pl.DataFrame:
    """Every recording, in the columns of `SCHEMA`."""
    rows = [one.to_json() for one in _recordings(_sample(settings, index, seed), seed)]
    return pl.DataFrame(rows, schema=SCHEMA)


def _sample(settings: Settings, index: Index, seed: int) -> pl.DataFrame:
    """Measured clips of a source set: its shards in an order that chance decides, until there are enough."""
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


def _recordings(clips: pl.DataFrame, seed: int) -> Iterator[Recording]:
    """Every recording, and every session of several files as a whole."""
    ordered = clips.sort("session_id", "audio_path", "onset_time")
    for (session,), whole in ordered.group_by("session_id", maintain_order=True):
        files = whole.partition_by("audio_path", maintain_order=True)
        for part in files:
            yield _recording(str(session), str(part["audio_path"][0]), part, seed)
        if len(files) > 1:
            # A session as a whole has no time of its own: each file begins at 0.
            yield _recording(str(session), None, whole.with_columns(onset_time=pl.lit(0.0)), seed)


def _recording(session: str, path: str | None, clips: pl.DataFrame, seed: int) -> Recording:
    part = _thinned(clips)
    draws = int(digest_json([seed, session, path])[:8], 16)
    return Recording(session, path, measure_shift(strengths_of(part), part["onset_time"].to_numpy(), draws))


def _thinned(part: pl.DataFrame) -> pl.DataFrame:
    """At most so many clips, evenly of all."""
    if part.height <= MOST_CLIPS:
        return part
    return part[[place * part.height // MOST_CLIPS for place in range(MOST_CLIPS)]]


def _lost_count(found: Sequence[Recording]) -> int:
    """The recordings that begin nowhere near their labels; none where hardly any can be measured at all."""
    lost = sum(one.is_lost for one in found)
    sure = sum(one.shift.shift_ms is not None for one in found)
    return lost if sure >= MEASURABLE * (sure + lost) else 0


def _how_far(row: Mapping[str, Any]) -> float:
    if row["shift_ms"] is None:
        return -1.0
    return abs(float(row["shift_ms"])) + abs(float(row["drift_ms"])) / 2

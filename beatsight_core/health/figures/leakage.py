"""What validation shares with training: sessions and audio never may; drummers, kits, rooms and copies are shown.

Calibration hits tune thresholds, so they count as training here.
"""

from dataclasses import dataclass, replace

import polars as pl

LISTED = 20
"""Names that are written out."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """What may never be in two splits.

    Attributes:
        across: Number of those that are in more than one split.
        examples: Names of some of them.
        different: Number of different ones; reports of earlier versions have none.
    """

    across: int
    examples: tuple[str, ...]
    different: int = 0


@dataclass(frozen=True, slots=True)
class Sharing:
    """What validation may share with training, and by how much it does.

    Attributes:
        different: Number of different ones.
        across: Number of those that are in validation and in training.
        val_hits: Validation hits that name one.
        val_hits_shared: Validation hits whose one is in training too.
        examples: Names of some that are shared.
    """

    different: int
    across: int
    val_hits: int
    val_hits_shared: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leakage:
    """What stands on both sides of the split.

    Attributes:
        sessions: Sessions in several splits.
        audio: Audio files in several splits.
        groups: Groups of sessions in several splits.
        drummers: Drummers whom validation shares with training.
        kits: Kits that it shares.
        rooms: Rooms that it shares.
        copies: Contents of audio files, under whatever names, that it shares; examples name the files of each with
            their splits. None where no file was looked for.
    """

    sessions: Crossing
    audio: Crossing
    groups: Crossing
    drummers: Sharing
    kits: Sharing
    rooms: Sharing
    copies: Sharing | None = None


def leakage(sessions: pl.DataFrame, files: pl.DataFrame | None = None) -> Leakage:
    """Return what stands on both sides of the split.

    Args:
        sessions: Result of the plan "sessions" of `hit_figures`: one row per session, file and split with its hits as
            `len`.
        files: Audio files with source_set, audio_path and digest, null where nobody has read the file yet.
    """
    return Leakage(
        sessions=_across(sessions, "session_id"),
        audio=_across(sessions, "source_set", "audio_path"),
        groups=_across(sessions, "split_group"),
        drummers=_shared(sessions, "drummer_id"),
        kits=_shared(sessions, "kit_id"),
        rooms=_shared(sessions, "room_id"),
        copies=None if files is None else _copies(sessions, files),
    )


def _copies(sessions: pl.DataFrame, files: pl.DataFrame) -> Sharing:
    key = ["source_set", "audio_path"]
    digests = files.drop_nulls("digest").select(*key, "digest")
    held = sessions.join(digests, on=key, how="inner")
    counted = _shared(held, "digest")
    name = pl.concat_str("source_set", pl.lit("/"), "audio_path", pl.lit(" ("), "split", pl.lit(")"))
    named = held.select("digest", name=name).unique().sort("name")
    of = dict(named.group_by("digest").agg(pl.col("name").str.join(", ")).iter_rows())
    return replace(counted, examples=tuple(of[digest] for digest in counted.examples))


def _across(sessions: pl.DataFrame, *key: str) -> Crossing:
    each = sessions.group_by(key).agg(pl.col("split").n_unique().alias("splits"))
    split = each.filter(pl.col("splits") > 1).sort(key)
    return Crossing(split.height, tuple(split[key[-1]].head(LISTED)), different=each.height)


def _shared(sessions: pl.DataFrame, column: str) -> Sharing:
    validates = pl.col("split") == "val"
    named = sessions.drop_nulls(column).group_by(column).agg(
        pl.col("len").filter(validates).sum().alias("val"), pl.col("len").filter(~validates).sum().alias("train")
    )  # fmt: skip
    both = named.filter((pl.col("val") > 0) & (pl.col("train") > 0)).sort("val", column, descending=[True, False])
    return Sharing(
        different=named.height,
        across=both.height,
        val_hits=int(named["val"].sum()),
        val_hits_shared=int(both["val"].sum()),
        examples=tuple(both[column].head(LISTED)),
    )

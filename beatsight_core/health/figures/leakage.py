"""What validation shares with training: sessions and audio never may; drummers, kits, rooms and copies are told.

Calibration hits tune thresholds, so they count as training here.
"""

from typing import Any

import polars as pl

LISTED = 20
"""Names that are written out."""

_MUST_NOT = {"sessions": ["session_id"], "audio": ["source_set", "audio_path"], "groups": ["split_group"]}
_MAY = {"drummers": "drummer_id", "kits": "kit_id", "rooms": "room_id"}


def leakage(sessions: pl.DataFrame, files: pl.DataFrame | None = None) -> dict[str, Any]:
    """Who stands on both sides.

    Args:
        sessions: The plan "sessions" of `hit_figures`: one row per session, file and split with its hits as `len`.
        files: Audio files with source_set, audio_path and digest, null where nobody has read the file yet.

    Returns:
        For sessions, audio and groups: `different`, `across` (how many are in more than one split) and `examples`.
        For drummers, kits and rooms: `different`, `across` (in val and in training), `val_hits` (that name one),
        `val_hits_shared` (whose one is in training too) and `examples`. With files the same for `copies`, where what
        is shared is the content of audio files under several names, as far as it is known.
    """
    found = {name: _across(sessions, key) for name, key in _MUST_NOT.items()}
    found |= {name: _shared(sessions, column) for name, column in _MAY.items()}
    return found if files is None else found | {"copies": _copies(sessions, files)}


def _copies(sessions: pl.DataFrame, files: pl.DataFrame) -> dict[str, Any]:
    """Contents on both sides; examples name the files of each with their splits."""
    key = ["source_set", "audio_path"]
    digests = files.drop_nulls("digest").select(*key, "digest")
    held = sessions.join(digests, on=key, how="inner")
    counted = _shared(held, "digest")
    name = pl.concat_str("source_set", pl.lit("/"), "audio_path", pl.lit(" ("), "split", pl.lit(")"))
    named = held.select("digest", name=name).unique().sort("name")
    of = dict(named.group_by("digest").agg(pl.col("name").str.join(", ")).iter_rows())
    return counted | {"examples": [of[digest] for digest in counted["examples"]]}


def _across(sessions: pl.DataFrame, key: list[str]) -> dict[str, Any]:
    each = sessions.group_by(key).agg(pl.col("split").n_unique().alias("splits"))
    split = each.filter(pl.col("splits") > 1).sort(key)
    return {"different": each.height, "across": split.height, "examples": split[key[-1]].head(LISTED).to_list()}


def _shared(sessions: pl.DataFrame, column: str) -> dict[str, Any]:
    validates = pl.col("split") == "val"
    named = sessions.drop_nulls(column).group_by(column).agg(
        pl.col("len").filter(validates).sum().alias("val"), pl.col("len").filter(~validates).sum().alias("train")
    )  # fmt: skip
    both = named.filter((pl.col("val") > 0) & (pl.col("train") > 0)).sort("val", column, descending=[True, False])
    return {
        "different": named.height,
        "across": both.height,
        "val_hits": int(named["val"].sum()),
        "val_hits_shared": int(both["val"].sum()),
        "examples": both[column].head(LISTED).to_list(),
    }

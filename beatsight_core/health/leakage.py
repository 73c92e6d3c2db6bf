"""What validation shares with training: sessions and audio never may, drummers, kits and rooms are told.

Calibration hits tune thresholds, so they count as training here.
"""

from typing import Any

import polars as pl

LISTED = 20
"""Names that are written out."""

_MUST_NOT = {"sessions": ["session_id"], "audio": ["source_set", "audio_path"], "groups": ["split_group"]}
_MAY = {"drummers": "drummer_id", "kits": "kit_id", "rooms": "room_id"}


def leakage(sessions: pl.DataFrame) -> dict[str, Any]:
    """Who stands on both sides.

    Args:
        sessions: The plan "sessions" of `hit_figures`: one row per session, file and split with its hits as `len`.

    Returns:
        For sessions, audio and groups: `across` (how many are in more than one split) and `examples`. For drummers,
        kits and rooms: `different`, `across` (in val and in training), `val_hits` (that name one), `val_hits_shared`
        (whose one is in training too) and `examples`.
    """
    return {name: _across(sessions, key) for name, key in _MUST_NOT.items()} | {
        name: _shared(sessions, column) for name, column in _MAY.items()
    }


def _across(sessions: pl.DataFrame, key: list[str]) -> dict[str, Any]:
    split = (
        sessions.group_by(key).agg(pl.col("split").n_unique().alias("splits")).filter(pl.col("splits") > 1).sort(key)
    )
    return {"across": split.height, "examples": split[key[-1]].head(LISTED).to_list()}


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

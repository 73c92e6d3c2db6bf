"""Whether a file is complete, as far as that can be known from looking at it twice.

A file is settled when it was the same at two looks, and either its own time is some seconds old, or its time lies in
the future, or it was seen the same for some seconds. So no clock can keep it waiting: not the local time that exFAT
keeps, not a file server that goes wrong, not a clock that is set back between the looks.

"The same" means size, time, and time of status change. The latter tells of a tool that allocates the whole size, keeps
an old time and still writes, and of another file that was put in this one's place. As some drives invent it, size and
time decide alone after a minute. The inode says no more than that, and drives without inodes give a file a new one now
and then. A file that ends in zero bytes was allocated and not filled; it is given ten minutes.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SETTLE_S = 5.0
"""A file is left alone until it has been still for so long."""

UNSURE_S = 60.0
"""After so long with the same size and time, the time of status change no longer counts."""

UNFILLED_S = 600.0
"""A file that ends in zero bytes is left alone for so long."""

_END_BYTES = 8
_SAME = ("size", "mtime_ns")

State = dict[str, int]


def file_state(path: Path) -> State | None:
    """Return what shows that a file changes; None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}


def is_same(before: Mapping[str, Any], state: State) -> bool:
    """Return whether size and time are as they were."""
    return all(before.get(name) == state[name] for name in _SAME)


def is_replaced(before: Mapping[str, Any], state: State) -> bool:
    """Return whether the time of status change differs: another file may stand under the name, or another content."""
    return bool(before.get("ctime_ns", state.get("ctime_ns")) != state.get("ctime_ns"))


def still_since(before: Mapping[str, Any], state: State, now: float) -> float:
    """Return since when the file was seen with this size and time; a clock that was set back begins anew."""
    since = before.get("since")
    return float(since) if is_same(before, state) and since is not None and since <= now else now


def is_settled(before: Mapping[str, Any], state: State, now: float, settle_s: float = SETTLE_S) -> bool:
    """Return whether a file is the same as at the look before, and old enough by some clock.

    Args:
        before: State at the look before, with `since` of `still_since`; empty at the first look.
        state: State now.
        now: Time of this look, in seconds since 1970.
        settle_s: Seconds for which it must have been still.
    """
    if not is_same(before, state):
        return False
    seen_s, age_s = now - still_since(before, state, now), now - state["mtime_ns"] / 1e9
    if seen_s < UNSURE_S and is_replaced(before, state):
        return False
    return age_s >= settle_s or age_s < 0 or seen_s >= settle_s


def is_unfilled(path: Path, size: int) -> bool:
    """Return whether a file ends in zero bytes, as one does that was allocated and not written to its end.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as handle:
        handle.seek(max(size - _END_BYTES, 0), os.SEEK_SET)
        end = handle.read(_END_BYTES)
    return len(end) == _END_BYTES and not any(end)

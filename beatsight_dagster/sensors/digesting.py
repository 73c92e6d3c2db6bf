"""The key of a manifest that the sensor on the inbox looks at: its content is digested, however long that takes.

It is done in a thread of the code server, over several looks if need be. Where code servers are replaced before that is
done, as `dagster-daemon run` by itself replaces them every minute, it would begin again for ever: after it was lost
twice, a process of its own does it, which ends by itself and leaves the digest where all commands look for it.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beatsight_core.errors import BeatSightError
from beatsight_core.slow_work import NotYetError, SlowWork
from beatsight_dagster.sensors.settling import State, is_unfilled

LOST = 2
"""How often digesting is lost with its process until another does it."""

KEYS = SlowWork[str]()
"""Manifests that are being digested."""

_CHILDREN: "list[subprocess.Popen[bytes]]" = []


def key_or_why(
    file: Path, state: State, before: Mapping[str, Any], wait_s: float, *, patient: bool, memory: Path | None
) -> dict[str, Any]:
    """Return what is known of a file's content, as values of its entry.

    Args:
        file: The manifest.
        state: State of the file now.
        before: Entry of the file after the look before.
        wait_s: Seconds to wait for it at most.
        patient: Flag that leaves a file alone which ends in zero bytes.
        memory: Folder in which digests outlive the process.

    Returns:
        `key`, if it is known; `error`, if it cannot be read; `says`: what is to be said of it; `reading`: whether it is
        being read; `lost`: how often reading was lost.
    """
    name = work_name(file, state)
    lost = before.get("lost", 0) + int(bool(before.get("reading")) and not KEYS.is_under_way(name))
    found: dict[str, Any] = {"key": None, "error": None, "says": None, "reading": False, "lost": lost}
    elsewhere = lost >= LOST and memory is not None
    try:
        key = KEYS.answer(name, lambda: _key(file, state["size"], patient, memory, only_known=elsewhere), wait_s)
    except NotYetError:
        return found | {"says": "its content is being read", "reading": True}
    except (BeatSightError, OSError) as error:
        return found | {"error": str(error), "says": f"left out: {error}"}
    if key:
        return found | {"key": key, "lost": 0}
    if elsewhere and memory is not None and not is_unfilled(file, state["size"]):
        _read_elsewhere(file, memory)
        return found | {"says": "its content is being read, by a process of its own"}
    return found | {"says": "it ends in zero bytes, so it is not written to its end yet"}


def _read_elsewhere(file: Path, memory: Path) -> None:
    """Start a process that digests a file, unless one is at it; see `beatsight_core.manifest.inbox.digest_process`."""
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]  # those that ended are let go
    command = [sys.executable, "-P", "-m", "beatsight_core.manifest.inbox.digest_process", str(file), str(memory)]
    nothing = subprocess.DEVNULL
    child = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    _CHILDREN.append(child)


def work_name(file: Path, state: Mapping[str, Any]) -> tuple[str, int, int, int]:
    """Return the name under which a file is digested: another state is other work."""
    return str(file), state["size"], state["mtime_ns"], state["ctime_ns"]


def _key(file: Path, size: int, patient: bool, memory: Path | None, *, only_known: bool) -> str:
    """The key; empty for a file that was not written to its end, if there is patience, or whose digest is not known."""
    from beatsight_core.manifest.identity import ManifestState, key_of, known_sha256
    from beatsight_core.manifest.read_manifest import manifest_key

    if patient and is_unfilled(file, size):
        return ""
    known = known_sha256(ManifestState.of(file), memory)
    if known or only_known:
        return key_of(file, known) if known else ""
    return manifest_key(file)

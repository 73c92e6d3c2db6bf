"""One `beatsight dev` for each data root: two daemons on one state would both start what a sensor asks for.

The lock is a file that is held open; the web server and the daemon hold it as well. So it is free once the last of them
has ended, and not before, whatever ended them. A note in it says who holds it.
"""

import contextlib
import datetime
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import click
import orjson
import psutil

from beatsight_core.errors import UsageError
from beatsight_core.files import storage_errors, try_lock
from beatsight_core.leftovers import host_mark
from beatsight_core.typed_json import JsonObject

NAME = ".dev.lock"
PATIENCE_S = 40.0
"""How long to wait for what is left of one that was killed."""

_LOOK_S = 0.2
_NOTE_BYTES = 4096


@contextlib.contextmanager
def only_dev(home: Path, port: int) -> Iterator[int]:
    """Hold a data root for one `beatsight dev`, and give the descriptor to pass on to what it starts.

    Args:
        home: Folder of Dagster's state.
        port: Port of the web server, for the note.

    Raises:
        UsageError: Another one holds it; says which, since when, and where its UI is.
        StorageError: The drive refused.
    """
    path = home / NAME
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, home)
        _write_note(descriptor, port)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, home: Path) -> None:
    deadline, told = time.monotonic() + PATIENCE_S, False
    while not try_lock(descriptor):
        note = _read_note(descriptor)
        if _is_alive(note) or time.monotonic() >= deadline:
            raise _held(note, home)
        if not told:
            click.echo("An earlier `beatsight dev` was killed. Waiting for what it started to end.", err=True)
            told = True
        time.sleep(_LOOK_S)


def _write_note(descriptor: int, port: int) -> None:
    note = {
        "pid": os.getpid(),
        "began": psutil.Process().create_time(),
        "host": platform.node(),
        "mark": host_mark(),
        "port": port,
        "since": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    with contextlib.suppress(OSError):  # it is only for messages: a full drive is no reason to stop
        os.pwrite(descriptor, orjson.dumps(note).ljust(_NOTE_BYTES), 0)


def _read_note(descriptor: int) -> JsonObject:
    """Return what the holder wrote; empty if that cannot be read."""
    try:
        note = orjson.loads(os.pread(descriptor, _NOTE_BYTES, 0))
    except (OSError, orjson.JSONDecodeError):
        return {}
    return note if isinstance(note, dict) else {}


def _is_alive(note: JsonObject) -> bool:
    """Whether the holder runs, or may run: of another machine or container nobody here can tell."""
    if note.get("mark") != host_mark():
        return bool(note)
    try:
        process = psutil.Process(int(str(note["pid"])))
        return bool(process.create_time() == note["began"] and process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, LookupError, TypeError, ValueError):
        return False


def _held(note: JsonObject, home: Path) -> UsageError:
    if not note:
        why, do = "its note cannot be read", f"end it; `fuser {home / NAME}` names its processes"
    elif note.get("mark") != host_mark():
        why = f"process {note.get('pid')} on {note.get('host')}, since {note.get('since')}"
        do = "end it there; if that machine is gone for good, its lock goes with its drive's connection"
    elif _is_alive(note):
        why = f"process {note['pid']} on this machine, since {note.get('since')}"
        do = f"open http://127.0.0.1:{note.get('port')}, or end it: kill {note['pid']}"
    else:
        why = f"process {note.get('pid')} was killed, and what it started has not ended for {PATIENCE_S:.0f} s"
        do = f"end the rest; `fuser {home / NAME}` names its processes"
    return UsageError("Another `beatsight dev` has this data root", where=home.parent, why=why, do=do)

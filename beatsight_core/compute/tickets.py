"""A machine-wide queue for devices: who asked first. One file per waiting request, alive as long as its lock is held.

The kernel drops a lock with the process that holds it, so a request that died leaves the queue by itself. All
functions that read or change the queue are called with `queue_lock` held.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import orjson

from beatsight_core.files import storage_errors

STALE_AFTER_S = 60.0
"""A request that has not asked again for so long (a stopped process) is passed over until it does."""

Note: TypeAlias = Mapping[str, str | int | float | None]
"""A holder or a request in words for people: names such as `run`, `verb` or `process`, and what they are."""

_QUEUE_LOCK = "queue.lock"
_TICKET = ".ticket"


@dataclass(frozen=True, slots=True)
class Request:
    """A request for devices, as a ticket says it.

    Attributes:
        number: Number in the queue; smaller came earlier.
        count: Number of devices wanted.
        devices: Keys of the devices it can use.
        note: Words about the caller, for people.
        stale: True if it has not asked again for `STALE_AFTER_S`.
        since: Time at which it began to wait, in seconds of the epoch; None if the ticket does not say.
    """

    number: int
    count: int
    devices: tuple[str, ...]
    note: Note
    stale: bool = False
    since: float | None = None


class Ticket:
    """A ticket of the queue, kept until closed. `touch` notes that its holder still asks."""

    def __init__(self, path: Path, descriptor: int, request: Request):
        self.path, self.request, self._descriptor = path, request, descriptor

    def touch(self) -> None:
        """Note that the holder still asks."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def close(self) -> None:
        """Leave the queue. Harmless to repeat."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


@contextlib.contextmanager
def queue_lock(folder: Path, *, wait: bool = True) -> Iterator[int | None]:
    """Hold the queue's lock; gives its descriptor, or None if `wait` is false and somebody else holds it."""
    with storage_errors(folder):
        make_folder(folder)
        descriptor = open_shared(folder / _QUEUE_LOCK)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield descriptor
    finally:
        os.close(descriptor)


def take_ticket(folder: Path, count: int, devices: tuple[str, ...], note: Note) -> Ticket:
    """Join the end of the queue.

    Args:
        folder: Folder of the machine's leases.
        count: Number of devices wanted.
        devices: Keys of the devices that will do.
        note: Words about the caller, for people.

    Raises:
        StorageError: The folder cannot be written.
    """
    with queue_lock(folder) as lock, storage_errors(folder):
        assert lock is not None
        number = int(os.pread(lock, 32, 0) or b"0") + 1
        os.pwrite(lock, b"%020d" % number, 0)
        request = Request(number, count, devices, dict(note), since=time.time())
        path = folder / f"{number:020d}{_TICKET}"
        # Locked before it has its name, so nobody sees it without its lock and takes it for dead.
        unnamed = folder / f".{number:020d}.{os.getpid()}"
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        said = {"count": count, "devices": devices, "note": request.note, "since": request.since}
        os.write(descriptor, orjson.dumps(said, default=str))
        unnamed.rename(path)
    return Ticket(path, descriptor, request)


def waiting_requests(folder: Path) -> list[Request]:
    """Return the live tickets in order; dead ones are removed."""
    requests = []
    for path in sorted(folder.glob(f"*{_TICKET}")):
        request = _read(path)
        if request is not None:
            requests.append(request)
    return requests


def _read(path: Path) -> Request | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # left the queue meanwhile
        return None
    try:
        if _locked_by_nobody(descriptor):
            with contextlib.suppress(OSError):  # another user's, in a folder where each removes their own
                path.unlink(missing_ok=True)
            return None
        table = orjson.loads(os.pread(descriptor, 1 << 16, 0))
        stale = time.time() - os.fstat(descriptor).st_mtime > STALE_AFTER_S
        number, wanted = int(path.name.partition(".")[0]), tuple(table["devices"])
        return Request(number, table["count"], wanted, table["note"], stale, table.get("since"))
    except (ValueError, KeyError, TypeError, AttributeError):  # not one of ours
        return None
    finally:
        os.close(descriptor)


def _locked_by_nobody(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make_folder(folder: Path) -> None:
    """Make the folder, writable by all users of the machine as `/tmp` is."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            folder.chmod(0o1777)


def open_shared(path: Path) -> int:
    """Open a lock file that other users of the machine open too; close-on-exec."""
    try:
        # Without O_CREAT first: Linux forbids it on another user's file in a folder like /tmp.
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o666)  # whatever the umask
        return descriptor

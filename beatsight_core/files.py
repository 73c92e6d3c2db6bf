"""Writing files so that a reader never sees half of one, and naming them by what is in them.

A file appears under its name complete or not at all: it is written beside its place under a temporary name, flushed
to the drive, renamed, and the folder is flushed. Errors of the drive become `StorageError` here and nowhere else.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import math
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from beatsight_core.errors import DatasetError, LackingError, StorageError, system_number
from beatsight_core.leftovers import fits_temporary, retired_path, temporary_path

DIGEST_HEX = 40
"""Hex digits kept of a SHA-256 where it names a file or an input: 160 bits."""

_RECORD_BYTES = 1 << 22
"""Larger files are lists of rows, and making records of them would take longer than reading them."""

_LOCK_LOOK_S = 0.1
_HOLDER_BYTES = 20

logger = logging.getLogger("beatsight")

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Writable: TypeAlias = Mapping[str, object] | Sequence[object] | DataclassInstance | str | float | None
    """Values that can be written as JSON; those inside are checked when they are written."""


@contextlib.contextmanager
def storage_errors(path: str | Path) -> Iterator[None]:
    """Turn an error of the system raised inside into a `StorageError` that names `path`."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and system_number(error) is None:
            raise
        raise StorageError.from_os_error(error, path) from error


@contextlib.contextmanager
def unless_read_only() -> Iterator[None]:
    """Leave out a write that only saves time later, where nothing may be written; a look then works all the same.

    Raises:
        StorageError: The drive is full, fails, or is gone.
    """
    try:
        yield
    except StorageError as error:
        if not error.is_read_only:
            raise
        logger.debug("not kept: %s", error)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; it becomes `path` when the block ends well.

    Raises:
        StorageError: The drive is full, read-only, or gone. `path` is then as it was.
    """
    temporary = temporary_path(path)
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _flush_file(temporary)
            temporary.replace(path)
            _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; it becomes `path`, with all its files, when the block ends well.

    If `path` is there by then, that one stays and this one is dropped; unless it is to `replace` it: the old folder is
    then put aside before the new one comes, both whole, and put back if the new one cannot come. For an instant there
    is none, which a reader takes for a folder not made yet; if the writer is killed in that instant it stays so until
    `remove_leftovers` puts the old one back. Writers that replace need a lock among them.

    Raises:
        StorageError: The drive is full, read-only, or gone. `path` is then as it was.
    """
    temporary = temporary_path(path)
    try:
        with storage_errors(path):
            if replace and not fits_temporary(path):  # nobody could tell whose place a folder waits for
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(path))
            temporary.mkdir(parents=True)
            yield temporary
            _flush_file(temporary)
            _flush_folder(temporary)
            if replace and path.is_dir():
                _exchange(temporary, path)
            else:
                _put_if_free(temporary, path)
            _flush_folder(path.parent)
            shutil.rmtree(retired_path(temporary), ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def replace_link(path: Path, target: Path) -> None:
    """Make `path` a symbolic link to `target`, in place of whatever file or link is there, atomically.

    Raises:
        StorageError: The drive refused. `path` is then as it was.
    """
    temporary = temporary_path(path)
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.symlink_to(target)
            temporary.replace(path)
            _flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: "Writable") -> None:
    """Replace `path` by `value` as indented JSON with sorted keys, atomically."""
    write_bytes(path, json_bytes(value))


class Record(dict[str, Any]):
    """A table of a JSON file, with an error that names the file when it lacks a name that is asked for.

    Attributes:
        file: Path of the file.
    """

    __slots__ = ("file",)
    file: Path

    @classmethod
    def of(cls, value: Any, file: Path) -> Any:
        """Return a value of a file, with its tables and theirs as records."""
        if isinstance(value, dict):
            made = cls((name, cls.of(inner, file)) for name, inner in value.items())
            made.file = file
            return made
        return [cls.of(inner, file) for inner in value] if isinstance(value, list) else value

    def __missing__(self, name: str) -> Any:
        raise LackingError(
            f"A file lacks {name!r}", where=self.file, why="it is damaged, or of another version of this program",
            do="restore it, or delete it and run the step that makes it again",
        )  # fmt: skip


def plain_file(path: Path) -> Path:
    """Return a path to read from, if no pipe, socket or device stands there. The reader reports a missing file.

    Raises:
        DatasetError: A pipe, socket or device stands there, of which a reader would wait for ever.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return path
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DatasetError("A pipe, socket or device stands where a file is needed", where=path, do="move it away")
    return path


def read_json(path: Path) -> Any:
    """Read a JSON file; its tables are `Record`s, unless it is very large.

    Raises:
        DatasetError: The file is missing, is no plain file, or is not JSON.
    """
    try:
        data = plain_file(path).read_bytes()
        value = orjson.loads(data)
        return Record.of(value, path) if len(data) <= _RECORD_BYTES else value
    except FileNotFoundError as error:
        raise DatasetError("A file is missing", where=path, do="run the step that makes it again") from error
    except IsADirectoryError as error:
        raise DatasetError("A folder stands where a file is needed", where=path, do="move it away") from error
    except orjson.JSONDecodeError as error:
        raise DatasetError(
            "A file is not valid JSON", where=path, why=str(error), do="delete it and run the step that makes it again"
        ) from error


def json_bytes(value: "Writable") -> bytes:
    """Return `value` as indented JSON with sorted keys; NumPy numbers allowed."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    try:
        return orjson.dumps(value, default=_plain, option=options)
    except TypeError:  # a path that is not UTF-8, which only an escape can tell
        return json.dumps(value, default=_plain_number, indent=2, sort_keys=True).encode() + b"\n"


def put_if_absent(path: Path, write: Callable[[Path], None]) -> bool:
    """Make a content-addressed file unless it is there; of several writers any one wins, as all write the same.

    Args:
        path: Name of the file, which contains its digest.
        write: Function that fills a temporary path.

    Returns:
        Whether this call made the file.
    """
    if path.exists():
        return False
    with atomic_path(path) as temporary:
        write(temporary)
    return True


def digest_bytes(*parts: bytes | memoryview) -> str:
    """Return the SHA-256 over the parts, each preceded by its length, as `DIGEST_HEX` hex digits."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "little"))
        sha.update(part)
    return sha.hexdigest()[:DIGEST_HEX]


def digest_json(value: "Writable") -> str:
    """Return the digest of a value as canonical JSON: sorted keys, no spaces."""
    return digest_bytes(orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY))


def sha256_file(path: Path) -> str:
    """Return the whole SHA-256 of a file in hex, as `sha256sum` prints it."""
    with storage_errors(path), path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextlib.contextmanager
def exclusive_lock(path: Path, what: str | None = None, timeout_s: float = math.inf) -> Iterator[None]:
    """Hold a lock file while the block runs; a second process waits, a dead one's lock is free at once.

    Args:
        path: Lock file; it says which process has it.
        what: Name of what the lock protects; a wait for it is logged under that name.
        timeout_s: Longest wait in seconds.

    Raises:
        TimeoutError: Somebody held it for all that time.
        StorageError: The drive refused.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not through a link: the line below would be written into somebody's file.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        if not try_lock(descriptor):
            if what:
                logger.info("waiting for %s: process %s is at it", what, _holder(descriptor))
            _wait_for_lock(descriptor, timeout_s)
        with contextlib.suppress(OSError):  # only for the line above: a full disk is no reason to stop
            os.pwrite(descriptor, f"{os.getpid():<{_HOLDER_BYTES}}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, timeout_s: float) -> None:
    if timeout_s == math.inf:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    until = time.monotonic() + timeout_s
    while not try_lock(descriptor):  # the system offers no wait for a lock that ends by the clock
        if time.monotonic() >= until:
            raise TimeoutError
        time.sleep(min(_LOCK_LOOK_S, max(until - time.monotonic(), 0.0)))


def try_lock(descriptor: int) -> bool:
    """Take the lock of an opened file, if nobody has it, and return whether it was taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Return whether some process holds a lock file now. Nothing is written, and nobody waits for this look."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _holder(descriptor: int) -> str:
    """The process that holds a lock, as far as is known."""
    return os.pread(descriptor, _HOLDER_BYTES, 0).decode("ascii", "replace").strip() or "of another machine"


def _put_if_free(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _exchange(temporary: Path, path: Path) -> None:
    """Put a folder in the place of another, which is then the retired one; or leave all as it was."""
    retired = retired_path(temporary)
    path.rename(retired)
    try:
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            retired.rename(path)
        raise


def _plain(value: object) -> str | list[str]:
    """What orjson cannot write by itself: paths, sets, tuples' cousins, objects with a summary."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _plain_number(value: object) -> object:
    """What the standard library's JSON cannot write by itself: NumPy's numbers and arrays, too."""
    return value.tolist() if hasattr(value, "tolist") else _plain(value)


def _flush_file(path: Path) -> None:
    if path.is_dir():
        for child in path.rglob("*"):
            if child.is_file():
                _flush_file(child)
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

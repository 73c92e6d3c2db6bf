"""Writing files so that a reader never sees half of one, and naming them by what is in them.

A file appears under its name complete or not at all: it is written beside its place under a temporary name, flushed
to the drive, renamed, and the folder is flushed. Errors of the drive become `StorageError` here and nowhere else.
"""

import contextlib
import fcntl
import functools
import hashlib
import logging
import math
import os
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from beatsight_core.errors import DatasetError, StorageError

DIGEST_HEX = 40
"""Hex digits kept of a SHA-256 where it names a file or an input: 160 bits."""

FOREIGN_SECONDS = 86400.0
"""Age at which a temporary file of another machine or container, whose processes nobody here sees, counts as left."""

_TEMP_MARK = ".tmp-"
_RETIRED = "-old"
_LOCK_LOOK_S = 0.1
_HOLDER_BYTES = 20

logger = logging.getLogger("beatsight")


@contextlib.contextmanager
def storage_errors(path: str | Path) -> Iterator[None]:
    """Turn an `OSError` raised inside into a `StorageError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise StorageError.from_os_error(error, path) from error


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
            temporary.mkdir(parents=True)
            yield temporary
            _flush_file(temporary)
            _flush_folder(temporary)
            if replace and path.is_dir():
                _exchange(temporary, path)
            else:
                _put_if_free(temporary, path)
            _flush_folder(path.parent)
            shutil.rmtree(_retired(temporary), ignore_errors=True)
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


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON with sorted keys, atomically."""
    write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DatasetError: The file is missing or is not JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DatasetError("A file is missing", where=path, do="run the step that makes it again") from error
    except orjson.JSONDecodeError as error:
        raise DatasetError(
            "A file is not valid JSON", where=path, why=str(error), do="delete it and run the step that makes it again"
        ) from error


def json_bytes(value: Any) -> bytes:
    """`value` as indented JSON with sorted keys; NumPy numbers allowed."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, default=_plain, option=options)


def put_if_absent(path: Path, write: Callable[[Path], None]) -> bool:
    """Make a content-addressed file unless it is there; of several writers any one wins, as all write the same.

    Args:
        path: The file's name, which contains its digest.
        write: Called with a temporary path to fill.

    Returns:
        Whether this call made the file.
    """
    if path.exists():
        return False
    with atomic_path(path) as temporary:
        write(temporary)
    return True


def digest_bytes(*parts: bytes | memoryview) -> str:
    """SHA-256 over the parts, each preceded by its length, as `DIGEST_HEX` hex digits."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "little"))
        sha.update(part)
    return sha.hexdigest()[:DIGEST_HEX]


def digest_json(value: Any) -> str:
    """The digest of a value as canonical JSON: sorted keys, no spaces."""
    return digest_bytes(orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY))


def sha256_file(path: Path) -> str:
    """The whole SHA-256 of a file in hex, as `sha256sum` prints it."""
    with storage_errors(path), path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextlib.contextmanager
def exclusive_lock(path: Path, what: str | None = None, timeout_s: float = math.inf) -> Iterator[None]:
    """Hold a lock file while the block runs; a second process waits, a dead one's lock is free at once.

    Args:
        path: The file; it says which process has it.
        what: What it is held for; a wait for it is logged under that name.
        timeout_s: Seconds to wait at most.

    Raises:
        TimeoutError: Somebody held it for all that time.
        StorageError: The drive refused.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _locked(descriptor):
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
    while not _locked(descriptor):  # the system offers no wait for a lock that ends by the clock
        if time.monotonic() >= until:
            raise TimeoutError
        time.sleep(min(_LOCK_LOOK_S, max(until - time.monotonic(), 0.0)))


def _locked(descriptor: int) -> bool:
    """Take the lock if nobody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    """The process that holds a lock, as far as is known."""
    return os.pread(descriptor, _HOLDER_BYTES, 0).decode("ascii", "replace").strip() or "of another machine"


def file_name(text: str) -> str:
    """`text` as the name of a file: itself if it is plain, else percent-encoded, so that it never leads elsewhere."""
    name = quote(text, safe=" +,=@")
    return name if len(name) <= 150 else f"{name[:100]}-{digest_bytes(text.encode())[:16]}"


def temporary_path(path: Path) -> Path:
    """A free name beside `path` that tells which process of which machine writes there."""
    return path.with_name(f"{path.name}{_TEMP_MARK}{host_mark()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def is_temporary(path: Path) -> bool:
    """Whether a name is one that `temporary_path` gave: of something that is being written, or never was done."""
    return _TEMP_MARK in path.name


@functools.cache
def host_mark() -> str:
    """8 hex digits for all whose processes this one sees: one machine, since it started, and one container of it."""
    try:
        seen = Path("/proc/sys/kernel/random/boot_id").read_text() + str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        seen = platform.node()
    return hashlib.sha256(seen.encode()).hexdigest()[:8]


def remove_leftovers(folder: Path) -> int:
    """Delete temporary files and folders of killed writers in `folder`; returns how many.

    A writer on this machine is asked for; what another machine or container left goes when it is a day old. A folder
    that was put aside for one that never came is put back instead.
    """
    removed = 0
    for leftover in find_leftovers(folder):
        name, _, owner = leftover.name.rpartition(_TEMP_MARK)
        place = leftover.with_name(name)
        if owner.endswith(_RETIRED) and not place.exists():
            with contextlib.suppress(OSError):  # another process may do the same
                leftover.rename(place)
            continue
        with contextlib.suppress(FileNotFoundError):
            is_folder = leftover.is_dir() and not leftover.is_symlink()
            shutil.rmtree(leftover) if is_folder else leftover.unlink()
            removed += 1
    return removed


def find_leftovers(folder: Path) -> list[Path]:
    """What `remove_leftovers` would look at: temporary files and folders whose writer is dead, or taken for it."""
    found = folder.glob(f"*{_TEMP_MARK}*")
    return [leftover for leftover in found if _is_left(leftover, leftover.name.rpartition(_TEMP_MARK)[2])]


def _is_left(leftover: Path, owner: str) -> bool:
    """Whether the writer that a temporary name tells of is dead, or may be taken for it."""
    host, _, rest = owner.partition("-")
    process = rest.partition("-")[0]
    if not process.isdigit():
        return False
    if host == host_mark():
        return not _is_alive(int(process))
    try:
        return time.time() - leftover.lstat().st_mtime > FOREIGN_SECONDS
    except FileNotFoundError:
        return False


def _put_if_free(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _exchange(temporary: Path, path: Path) -> None:
    """Put a folder in the place of another, which is then the retired one; or leave all as it was."""
    retired = _retired(temporary)
    path.rename(retired)
    try:
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            retired.rename(path)
        raise


def _retired(temporary: Path) -> Path:
    return temporary.with_name(temporary.name + _RETIRED)


def _is_alive(process: int) -> bool:
    """Whether a process runs. A zombie, whose death nobody has asked about yet, does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def _plain(value: Any) -> Any:
    """What orjson cannot write by itself: paths, sets, tuples' cousins, objects with a summary."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


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

"""Temporary names, and what killed writers left under them.

What is being written lies beside its place as `.NAME.tmp-HOST-PROCESS-RANDOM`, with `-old` at the end where it is the
old folder that waits for the new one to take its place. Such a name begins with a dot and is read as a whole: nothing
that a person or the platform names can have it, as `names.file_name` begins no name with a dot.

Versions before wrote it without the dot, so that a manifest could be called that. What has the form of theirs is only
taken for a leftover where it cannot be anything else: a caller who knows the folder says what is.
"""

import contextlib
import functools
import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from beatsight_core.errors import READ_ONLY

FOREIGN_SECONDS = 86400.0
"""Age at which a temporary file of another machine or container, whose processes nobody here sees, counts as left."""

NAME_BYTES = 255
"""Longest name of a file on the file systems that matter here."""

_RETIRED = "-old"
_FORM = r"(?P<place>.+)\.tmp-(?P<host>[0-9a-f]{8})-(?P<process>[0-9]{1,10})-[0-9a-f]{8}(?P<retired>-old)?"
_NOW = re.compile(rf"\.{_FORM}", re.DOTALL)
_EARLIER = re.compile(_FORM, re.DOTALL)
_AROUND = len(".") + len(".tmp-") + 8 + 1 + 10 + 1 + 8 + len(_RETIRED)

IsNamedSo = Callable[[Path], bool]
"""Says of something that has the form of an earlier version's leftover whether it is a thing of that very name."""


def _is_folder(path: Path) -> bool:
    """The answer where nobody knows the folder: a file may be a leftover, a folder may be somebody's work."""
    return path.is_dir() and not path.is_symlink()


def never(path: Path) -> bool:
    """Return False, for a folder in which the platform alone gives the names, and never such ones."""
    return False


def temporary_path(path: Path) -> Path:
    """Return a free name beside `path` that tells which process of which machine writes there."""
    name = path.name
    if not fits_temporary(path):
        name = os.fsencode(name)[: NAME_BYTES - _AROUND].decode("utf-8", "ignore")
    return path.with_name(f".{name}.tmp-{host_mark()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def fits_temporary(path: Path) -> bool:
    """Return whether a temporary name can tell the whole name of its place."""
    return len(os.fsencode(path.name)) <= NAME_BYTES - _AROUND


def retired_path(temporary: Path) -> Path:
    """Return where a folder waits while another, written under a temporary name, takes its place."""
    return temporary.with_name(temporary.name + _RETIRED)


def looks_temporary(name: str) -> bool:
    """Return whether a name is one that this or an earlier version gave to what it was writing."""
    return _EARLIER.fullmatch(name) is not None


def is_temporary(path: Path, is_named_so: IsNamedSo = _is_folder) -> bool:
    """Return whether something is being written, or never was done.

    Args:
        path: Path of a file or folder.
        is_named_so: Judge of what has the form of earlier versions; by default no folder is temporary that has it.
    """
    if _NOW.fullmatch(path.name):
        return True
    return looks_temporary(path.name) and not is_named_so(path)


def find_leftovers(folder: Path, is_named_so: IsNamedSo = _is_folder) -> list[Path]:
    """List what `remove_leftovers` would look at: temporary files and folders whose writer is dead, or taken for it."""
    return [leftover for leftover, form in _forms(folder) if _is_left(leftover, form, is_named_so)]


def remove_leftovers(folder: Path, is_named_so: IsNamedSo = _is_folder) -> int:
    """Delete temporary files and folders of killed writers.

    A writer on this machine is asked for; what another machine or container left goes when it is a day old. A folder
    that was put aside for one that never came is put back instead.

    Args:
        folder: Folder to look in; folders inside it are left alone.
        is_named_so: Judge of what has the form of earlier versions; by default no folder that has it is deleted.

    Returns:
        How many were deleted.
    """
    removed = 0
    for leftover, form in _forms(folder):
        if not _is_left(leftover, form, is_named_so):
            continue
        place = leftover.with_name(form["place"])
        if form["retired"] and not place.exists():
            with contextlib.suppress(OSError):  # another process may do the same
                leftover.rename(place)
            continue
        try:
            shutil.rmtree(leftover) if _is_folder(leftover) else leftover.unlink()
            removed += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in READ_ONLY:  # where nothing may be written it stays, and is in nobody's way
                raise
    return removed


def _forms(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    """Everything in a folder whose name has one of the two forms."""
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for path in paths:
        form = _NOW.fullmatch(path.name) or _EARLIER.fullmatch(path.name)
        if form is not None:
            yield path, form


def _is_left(leftover: Path, form: re.Match[str], is_named_so: IsNamedSo) -> bool:
    """Whether the writer that a temporary name tells of is dead, or may be taken for it."""
    if form.re is _EARLIER and is_named_so(leftover):
        return False
    if form["host"] == host_mark():
        return not _is_alive(int(form["process"]))
    try:
        return time.time() - leftover.lstat().st_mtime > FOREIGN_SECONDS
    except FileNotFoundError:
        return False


def _is_alive(process: int) -> bool:
    """Whether a process runs. A zombie, whose death nobody has asked about yet, does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


@functools.cache
def host_mark() -> str:
    """Return 8 hex digits for all whose processes this one sees: one machine, since it started, and one container."""
    try:
        seen = Path("/proc/sys/kernel/random/boot_id").read_text() + str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        seen = platform.node()
    return hashlib.sha256(seen.encode()).hexdigest()[:8]

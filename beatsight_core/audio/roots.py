"""Where audio lies: the roots of a source set, and finding a manifest's path in them.

A path is looked for in the roots in order. Names match exactly, also on drives that ignore case; where none does, one
counts that is the same text in another Unicode form, as drives of macOS spell it. What is found lies inside its root
after all symbolic links: nothing else is ever read on a manifest's word. Folders are listed once a run.
"""

import errno
import os
import stat
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from beatsight_core.errors import AudioError
from beatsight_core.settings import SourceSet


class Status(StrEnum):
    """The state of a path of the manifest: found, or why not."""

    OK = "ok"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class RootStatus:
    """A root of a source set, and whether it is mounted."""

    source_set: str
    root: Path
    mounted: bool


@dataclass(frozen=True, slots=True)
class Located:
    """The result of looking up a path of the manifest.

    Attributes:
        status: State of the path.
        message: Reason why it was not found.
        root: Root that it was found in.
        path: File that it stands for.
        size: Size of the file in bytes.
        mtime_ns: Time of its last change.
        inode: Device and number of the file, whatever its name.
    """

    status: Status
    message: str = ""
    root: Path | None = None
    path: Path | None = None
    size: int = 0
    mtime_ns: int = 0
    inode: tuple[int, int] | None = None

    @property
    def name(self) -> str | None:
        """The path inside the root as the drive spells it."""
        return None if self.path is None or self.root is None else self.path.relative_to(self.root).as_posix()


@dataclass(slots=True)
class Listings:
    """Folder listings, each read once however many threads ask."""

    _names: dict[str, dict[str, bool]] = field(default_factory=dict)
    _folded: dict[str, dict[str, str]] = field(default_factory=dict)
    _composed: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def names(self, folder: str) -> dict[str, bool]:
        """Return name -> whether it is a symbolic link; empty if the folder is none or may not be listed.

        Raises:
            AudioError: The drive failed.
        """
        with self._lock:
            if folder not in self._names:
                self._names[folder] = _list(folder)
            return self._names[folder]

    def spelt(self, folder: str, name: str) -> list[str]:
        """Return the names in the folder that are the same text.

        That is the name itself, else all that differ in Unicode form.

        the name itself, else all that differ in Unicode form.
        """
        if name in self.names(folder):
            return [name]
        return self._alike(folder).get(composed(name), [])

    def near_miss(self, folder: str, name: str) -> str | None:
        """Return a name in the folder that differs from `name` in upper and lower case only."""
        names = self.names(folder)
        with self._lock:
            if folder not in self._folded:
                self._folded[folder] = {composed(known).casefold(): known for known in names}
            return self._folded[folder].get(composed(name).casefold())

    def _alike(self, folder: str) -> dict[str, list[str]]:
        """Composed name -> the names in the folder that compose to it."""
        names = self.names(folder)
        with self._lock:
            if folder not in self._composed:
                alike: dict[str, list[str]] = {}
                for known in names:
                    alike.setdefault(composed(known), []).append(known)
                self._composed[folder] = alike
            return self._composed[folder]


def composed(name: str) -> str:
    """Return a name in the one form (NFC) that texts are compared in: macOS takes letters and their accents apart."""
    return unicodedata.normalize("NFC", name)


def mounted_roots(source: SourceSet) -> tuple[RootStatus, ...]:
    """Return each root of a source set, in lookup order, and whether it is a folder now."""
    return tuple(RootStatus(source.name, root, root.is_dir()) for root in source.roots)


def holds_anything(root: Path) -> bool:
    """Return whether a root is a folder with something in it. An unmounted drive leaves an empty folder.

    Raises:
        AudioError: The drive failed.
    """
    return bool(_list(str(root)))


def require_root(root: Path, source_set: str = "audio") -> None:
    """Raise an error if a root in which something was found is gone: one error in place of one per file.

    Raises:
        AudioError: The root vanished, or its drive failed.
    """
    if not holds_anything(root):
        raise AudioError(
            f"A root of {source_set} vanished while it was read",
            where=root,
            do="connect and mount the drive; then run the same command again",
        )


def resolve_audio(source: SourceSet, audio_path: str, listings: Listings | None = None) -> Located:
    """Find a path of the manifest in a source set's roots, the first match first.

    Args:
        source: Source set that names the roots.
        audio_path: POSIX path, relative to a root.
        listings: Folder listings, shared between calls so that each folder is listed once.

    Returns:
        Where it is, or why it is not to be had. A path that would leave one root may still be found in the next.

    Raises:
        AudioError: A drive failed while a folder was listed.
    """
    listings = Listings() if listings is None else listings
    parts = PurePosixPath(audio_path).parts
    if not parts or audio_path.startswith("/") or ".." in parts or "\0" in audio_path:
        return Located(Status.UNSAFE, "the path is not relative to a root")
    refused: list[Located] = []
    for root in source.roots:
        found = _look(root, parts, listings)
        if found.status is Status.OK:
            return found
        refused.append(found)
    unlike_missing = [found for found in refused if found.status is not Status.MISSING]
    hints = [found for found in refused if found.message]
    return next(iter(unlike_missing + hints), Located(Status.MISSING, "not found in any root"))


def found_elsewhere(source: SourceSet, audio_path: str, found: Located, listings: Listings) -> Iterator[Located]:
    """Yield other files of the same path in later roots; these files are not used.

    Roots that cannot be read are passed over.
    """
    if found.root is None:
        return
    parts = PurePosixPath(audio_path).parts
    for root in source.roots[source.roots.index(found.root) + 1 :]:
        try:
            other = _look(root, parts, listings)
        except AudioError:
            continue
        if other.status is Status.OK and other.inode != found.inode:
            yield other


def _look(root: Path, parts: tuple[str, ...], listings: Listings) -> Located:
    folder = str(root)
    for part in parts:
        names = listings.spelt(folder, part)
        if len(names) != 1:
            return Located(Status.MISSING, _hint(folder, part, names, listings), root)
        is_link = listings.names(folder)[names[0]]
        folder = f"{folder}/{names[0]}"
        if is_link and not _leads_inside(root, folder):  # before it is followed, be it only to list a folder
            return Located(Status.UNSAFE, "a symbolic link leads out of the root", root)
    return _checked(root, Path(folder))


def _hint(folder: str, part: str, names: list[str], listings: Listings) -> str:
    """Why a name was not found, where there is something like it."""
    if names:
        return f"{folder} has {len(names)} names that are {part} in other Unicode forms, and none in this one"
    close = listings.near_miss(folder, part)
    return f"{folder} has {close}, which differs in upper and lower case" if close else ""


def _leads_inside(root: Path, link: str) -> bool:
    inside = os.path.realpath(root)
    return os.path.commonpath([inside, os.path.realpath(link)]) == inside


def _checked(root: Path, path: Path) -> Located:
    """What was found by name inside its root, once it is known to be a file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return Located(Status.MISSING, "a symbolic link leads nowhere", root)
    except OSError as error:
        return Located(Status.UNREADABLE, error.strerror or str(error), root)
    if not stat.S_ISREG(found.st_mode):
        return Located(Status.UNREADABLE, "not a regular file", root)
    return Located(Status.OK, "", root, path, found.st_size, found.st_mtime_ns, (found.st_dev, found.st_ino))


def _list(folder: str) -> dict[str, bool]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_symlink() for entry in entries}
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG):
            return {}
        raise AudioError(
            "A folder of audio cannot be listed",
            where=folder,
            why=error.strerror,
            do="check the drive; then run the same command again",
        ) from error

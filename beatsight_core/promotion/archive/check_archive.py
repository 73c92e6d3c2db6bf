"""Whether archives are still what they were when they were made: nothing altered, nothing missing, nothing added."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from beatsight_core.errors import UsageError
from beatsight_core.files import sha256_file, storage_errors
from beatsight_core.promotion.archive.archive_folders import ABOUT, archive_folders
from beatsight_core.promotion.external.external_files import PlaceReport
from beatsight_core.settings import Settings
from beatsight_core.settings.typed_paths import typed_path
from beatsight_core.typed_json import JsonObject, to_json

SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class ArchiveCheck:
    """The finding on one archive.

    Attributes:
        folder: Folder of the archive.
        files: Number of files that its list names.
        altered: Files that hold something else than they did; also a link in the place of a file.
        missing: Files of the list that are not there.
        extra: Files that are there and not in the list.
        problem: Reason why the list cannot be used, if it cannot.
    """

    DERIVED: ClassVar = ("whole",)
    folder: Path
    files: int = 0
    altered: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is what it was."""
        return not (self.altered or self.missing or self.extra or self.problem)

    def to_json(self) -> JsonObject:
        """Return the check as JSON values."""
        return to_json(self)


@dataclass(frozen=True, slots=True)
class ArchiveChecks:
    """The findings on several archives.

    Attributes:
        whole: Verdict, true if all of them are what they were.
        archives: Finding on each.
        external: External files that do not say what they should.
    """

    whole: bool
    archives: tuple[ArchiveCheck, ...]
    external: tuple[PlaceReport, ...]


def check_archive(folder: Path) -> ArchiveCheck:
    """Compare every file of an archive with its `SHA256SUMS`.

    Raises:
        StorageError: A file cannot be read.
    """
    with storage_errors(folder):
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not _is_plain_folder(path)}
    try:
        listed = _listed(folder)
    except (OSError, ValueError) as error:
        return ArchiveCheck(folder, problem=f"{SUMS} cannot be used: {error}")
    same = {name for name in listed if name in there and _holds(folder / name, listed[name])}
    return ArchiveCheck(
        folder,
        files=len(listed),
        altered=tuple(sorted((listed.keys() & there) - same)),
        missing=tuple(sorted(listed.keys() - there)),
        extra=tuple(sorted(there - listed.keys() - {SUMS})),
    )


def check_archives(settings: Settings, which: str | None = None) -> list[ArchiveCheck]:
    """Check one archive, those of a run or a day, or all.

    Args:
        settings: Settings that say where archives lie.
        which: Folder; or a run's id, the beginning of one, or a day as YYYYMMDD; all by default.

    Raises:
        UsageError: There is no such archive.
        StorageError: A file cannot be read.
    """
    with storage_errors(settings.archive_dir):
        folders = archive_folders(settings)
    chosen = folders if which is None else [path for path in folders if _is_meant(path, which)]
    if which is not None and not chosen:
        elsewhere = typed_path(which)  # a copy on another drive
        if not any((elsewhere / name).is_file() for name in (ABOUT, SUMS)):
            raise UsageError(
                f"There is no archive {which!r}",
                where=settings.archive_dir,
                do="name a folder, a run, or a day (YYYYMMDD)",
            )
        chosen = [elsewhere]
    return [check_archive(folder) for folder in chosen]


def _is_meant(folder: Path, which: str) -> bool:
    """Return whether an archive is the one named, or one of the day or run named."""
    if not which:
        return False
    typed = typed_path(which)
    named = typed.is_dir() and typed.resolve() in (folder.resolve(), folder.parent.resolve())
    return named or folder.parent.name == which or folder.name.startswith(which)


def _is_plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and not path.is_symlink() and sha256_file(path) == digest


def _listed(folder: Path) -> dict[str, str]:
    """Return name -> digest, as the list says; a name that leads out of the folder makes the list useless."""
    listed = {}
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        digest, mark, name = line.partition("  ")
        path = PurePosixPath(name)
        if not mark or not name or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{line[:80]!r} names no file of the archive")
        listed[path.as_posix()] = digest
    return listed

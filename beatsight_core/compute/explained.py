"""Any exception as an error of this project: what, where, why and what to do, and an exit code that is documented.

Errors that were foreseen are raised as such where they occur. What arrives here otherwise is trouble of a device, of
the memory, of a drive, of the network or of the installation; and what is none of these is a fault of the platform.
"""

import traceback
from pathlib import Path

from beatsight_core.compute.trouble import device_trouble
from beatsight_core.errors import BeatSightError, StorageError, UnexpectedError, UsageError, system_number
from beatsight_core.sockets import no_temporary_folder

DEBUG_VARIABLE = "BEATSIGHT_DEBUG"
"""Set to anything, programs that take no --debug show traces too; --debug sets it for those that a verb starts."""

_LONGEST = 300
_OURS = "beatsight_"


def may_be_told(error: BaseException) -> bool:
    """Return whether an exception is one to explain, and no way to end a process; a panic of a Rust library counts."""
    return isinstance(error, Exception) or type(error).__module__ == "pyo3_runtime"


def explained(error: BaseException, site: str | Path) -> BeatSightError:
    """Return the error to show for any exception; its own if it is one of this project.

    Args:
        error: Exception that was raised; one that `may_be_told`.
        site: Folder or program in which the work was done, for errors of a drive that name no file.
    """
    if isinstance(error, BeatSightError):
        return error
    known = (device_trouble(error) or _of_a_kind(error, site)) if isinstance(error, Exception) else None
    told = known or _unexpected(error)
    told.__cause__ = error  # for whoever asks for the trace
    return told


def _of_a_kind(error: Exception, site: str | Path) -> BeatSightError | None:
    """Return what an exception says by its class; None if that tells nothing."""
    if isinstance(error, ModuleNotFoundError) and not (error.name or _OURS).startswith(_OURS):
        return UsageError(f"The package {error.name} is not installed", do="pip install -e '.[all]'")
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return BeatSightError(
            "There is too little memory for this",
            why=_line(error),
            do="close other programs, or use fewer --workers or a smaller batch; then run the same command again",
        )
    if isinstance(error, ConnectionError | TimeoutError):
        do = "run the same command again; what is finished is kept"
        return BeatSightError("A connection to another process or machine failed", why=_line(error), do=do)
    if isinstance(error, FileNotFoundError) and error.filename is None and (told := _without_a_folder(error)):
        return told
    if system_number(error) is not None:
        named = getattr(error, "filename", None)
        named = named if isinstance(named, str | Path) else site
        return StorageError.from_os_error(error, named)
    return None


def _without_a_folder(error: FileNotFoundError) -> BeatSightError | None:
    """Return the message for an error that names no file: a folder is missing that nobody typed."""
    if "temporary directory" in str(error):
        return no_temporary_folder(error)
    try:
        Path.cwd()
    except FileNotFoundError:
        return UsageError("The current folder is gone", do="change to a folder that is there, as by: cd ~")
    return None


def _unexpected(error: BaseException) -> UnexpectedError:
    return UnexpectedError(
        f"The platform has a fault: {type(error).__name__}: {_line(error)}".rstrip(": "),
        where=_raised_at(error),
        why="nobody has foreseen this error; what was written before it is whole",
        do="run the same command with --debug, and report the trace that it shows with `beatsight --version`",
    )


def _raised_at(error: BaseException) -> str | None:
    """Return the innermost line of this project that an error passed through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _OURS in frame.filename]
    if not frames:
        return None
    parts = Path(frames[-1].filename).parts
    first = next(place for place, part in enumerate(parts) if part.startswith(_OURS))
    return f"{'/'.join(parts[first:])}, line {frames[-1].lineno}, in {frames[-1].name}"


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"

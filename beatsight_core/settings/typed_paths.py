r"""Paths as people type them: `~`, and on WSL those of Windows, as `C:\folder`, `C:/folder` and `\\wsl$\Ubuntu\home`.

This is the one place where a typed path becomes one of this system; settings, variables and the command line use it.
What has no meaning here is refused by name: a network share, a bare drive, somebody who has no home.
"""

import os
import re
import sys
from pathlib import Path

from beatsight_core.errors import UsageError

MOUNTS = Path("/proc/self/mounts")

_LONG = re.compile(r"^[\\/]{2}[?.][\\/](?=[A-Za-z]:)")
_OF_DEVICES = re.compile(r"^(?:\\\\[?.]|//\?)(?:[\\/]|$)")
_DRIVE = re.compile(r"^([A-Za-z]):(?:[\\/]+(.*))?$", re.DOTALL)
_IN_DRIVE = re.compile(r"^([A-Za-z]):([^\\/].*)$", re.DOTALL)
_MOUNTED = re.compile(r"^/mnt/([A-Za-z])(?:/(.*))?$", re.DOTALL)
_INSIDE = re.compile(r"^[\\/]{2}wsl(?:\$|\.localhost)[\\/]([^\\/]+)(.*)$", re.IGNORECASE | re.DOTALL)
_SHARE = re.compile(r"^(?:\\\\|//)(?:[?.][\\/]UNC[\\/])?([^\\/?.][^\\/]*)(?:[\\/]|$)", re.IGNORECASE)


def typed_path(text: str, *, written: bool = False) -> Path:
    """Return a path of this system from what a person typed; it stays relative if it was.

    Args:
        text: Path as typed.
        written: Flag of a path that is to be written to: a drive of Windows must be mounted then, as otherwise a folder
            of its name would be made on another drive.

    Raises:
        UsageError: The path means nothing here, or no drive is there to write to; the message says what to type.
    """
    path = _typed(text)
    drive = _DRIVE.match(_LONG.sub("", text)) if written and sys.platform != "win32" else None
    if drive and path.is_absolute() and not drive_folder(drive[1]).is_dir():
        raise UsageError(
            f"Drive {drive[1].upper()}: is not mounted, so nothing can be written to {text}",
            where=path,
            do="mount it, or type another path",
        )
    return path


def resolve_path(text: str, base: Path, *, written: bool = False) -> Path:
    r"""Return an absolute path from what was typed: `~`, `C:\folder`, `/mnt/c/folder` work on Windows and in WSL.

    Args:
        text: Path as typed.
        base: Folder that a relative path is relative to.
        written: Flag of a path that is to be written to, so that its drive must be mounted.

    Raises:
        UsageError: The path means nothing on this system, or no drive is there to write to.
    """
    return Path(os.path.abspath(base / typed_path(text, written=written)))  # noqa: PTH100 - keeps symbolic links as typed


def _typed(text: str) -> Path:
    if "\0" in text:
        raise UsageError("A path holds a NUL character", where=repr(text), do="type it without")
    if sys.platform == "win32":
        mounted = _MOUNTED.match(text)
        return _at_home(f"{mounted[1].upper()}:/{mounted[2] or ''}" if mounted else text)
    if not re.match(r"[A-Za-z]:|[\\/]{2}", text) and "\\" not in text:
        return _at_home(text)
    if os.path.lexists(text):  # a backslash and a colon are letters of names here
        return Path(text)
    return _of_windows(_LONG.sub("", text))


def _of_windows(text: str) -> Path:
    if drive := _DRIVE.match(text):
        if len(text) == 2:
            raise _drive_alone(text, "")
        return drive_folder(drive[1]) / (drive[2] or "").replace("\\", "/").lstrip("/")
    if relative := _IN_DRIVE.match(text):
        raise _drive_alone(f"{relative[1]}:", relative[2])
    if inside := _INSIDE.match(text):
        return _of_this_wsl(text, inside[1], inside[2])
    if (share := _SHARE.match(text)) and not (text.startswith("//") and Path(f"/{share[1]}").exists()):
        raise UsageError(
            f"{text} is on a network share of Windows, which has no path here",
            do=f"mount it and type the folder, as by: sudo mount -t drvfs '\\\\{share[1]}\\SHARE' /mnt/share",
        )
    if _OF_DEVICES.match(text):
        raise UsageError(f"{text} names a device of Windows, which has no path here", do="type the path as it is here")
    turned = Path(text.replace("\\", "/"))
    known = os.path.lexists(turned) or (turned.parent != Path() and turned.parent.is_dir())
    return _at_home(str(turned)) if known else Path(text)


def drive_folder(letter: str) -> Path:
    r"""Return where a drive of Windows is mounted: `/mnt/c`, unless WSL is set up to mount drives elsewhere."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        lines = []
    for line in lines:
        device, point, *_ = line.split(" ")
        if device.upper().startswith(f"{letter.upper()}:"):
            return Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point))
    return Path("/mnt") / letter.lower()


def _of_this_wsl(text: str, name: str, rest: str) -> Path:
    """What Windows sees of this very system, as it is called here."""
    own = os.environ.get("WSL_DISTRO_NAME")
    if own is not None and own.lower() == name.lower():
        return Path("/" + rest.replace("\\", "/").lstrip("/"))
    raise UsageError(
        f"{text} lies in the WSL distribution {name}, which is not this system",
        why=f"this one is {own}" if own else "this is no WSL",
        do="type the path as it is here",
    )


def _drive_alone(drive: str, rest: str) -> UsageError:
    return UsageError(
        f"{drive}{rest} means the folder that Windows is in on drive {drive}, which nobody knows here",
        do=f"type the whole path: {drive}/{rest}" if rest else f"type {drive}/ for all of the drive",
    )


def _at_home(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"There is no home folder for {text.partition('/')[0]}",
            where=text,
            why=str(error),
            do="type the whole path",
        ) from error

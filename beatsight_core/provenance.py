"""The origin of records, approvals and archives: who made them, when, and by what program."""

import datetime
import getpass
import platform
from importlib import metadata


def who_and_when() -> dict[str, str]:
    """Time in UTC, and the person, machine and program that did it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "user": user,
        "host": platform.node(),
        "program": f"beatsight {program_version()}",
    }


def program_version() -> str:
    """Return the installed version of this program."""
    try:
        return metadata.version("beatsight")
    except metadata.PackageNotFoundError:
        return "not installed"

"""A folder for sockets and other temporary files whose name is short enough.

The name of a socket has 107 bytes at most, its folder included. Clusters and build machines set TMPDIR to folders whose
names alone are longer. Pools of processes, Dagster's servers and W&B all put sockets there, and say no more than
"AF_UNIX path too long". Only sockets go elsewhere then; temporary files stay where TMPDIR says.
"""

import os
import shutil
import tempfile
from multiprocessing import process, util
from pathlib import Path

from beatsight_core.errors import StorageError

LONGEST = 103 if os.uname().sysname == "Darwin" else 107
"""Bytes of a socket's name."""

ROOM = 50
"""Of these, what programs add to the folder: names of their own folders, of processes, of sockets."""

KEPT = "BEATSIGHT_KEPT_TMPDIR"
"""Variable that holds the user's TMPDIR while another one is in its place."""

_SHORT = ("/tmp", "/var/tmp", "/dev/shm")


def temporary_folder() -> Path:
    """Return the folder for temporary files.

    Raises:
        StorageError: Neither TMPDIR nor any of the usual places takes a file; names them.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise no_temporary_folder(error) from error


def no_temporary_folder(error: FileNotFoundError) -> StorageError:
    """Return the error for the case that no folder takes a temporary file, neither TMPDIR nor any of the usual ones."""
    named = os.environ.get("TMPDIR")
    return StorageError(
        "There is no folder for temporary files",
        where=f"TMPDIR={named}" if named else "TMPDIR, which is not set",
        why=error.strerror or str(error),
        do="set TMPDIR to a folder that is there, can be written to, and has room",
    )


def socket_folder() -> Path:
    """Return a folder that is short enough for sockets: that for temporary files, or another one.

    Raises:
        StorageError: No folder with a short name can be had; the message names TMPDIR.
    """
    usual = temporary_folder()
    for folder in (str(usual), os.environ.get("XDG_RUNTIME_DIR", ""), *_SHORT):
        if folder and _fits(folder) and Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    raise StorageError(
        "There is no folder whose name is short enough for a socket",
        where=f"TMPDIR={usual}",
        why=f"a socket's name has {LONGEST} bytes at most, and {', '.join(_SHORT)} cannot be written to",
        do="set TMPDIR to a folder with a short name",
    )


def use_socket_folder() -> None:
    """Let pools of processes that this one starts put their sockets into a folder that is short enough.

    Raises:
        StorageError: No folder with a short name can be had.
    """
    config = process.current_process()._config  # type: ignore[attr-defined]  # where `multiprocessing` keeps it
    if config.get("tempdir") or _fits(str(temporary_folder())):
        return
    folder = tempfile.mkdtemp(prefix="pymp-", dir=socket_folder())
    util.Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-100)  # after the processes have ended
    config["tempdir"] = folder


def socket_environment() -> dict[str, str]:
    """Return what to set for a program that puts sockets where TMPDIR says; nothing if TMPDIR is short enough."""
    usual = temporary_folder()
    return {} if _fits(str(usual)) else {"TMPDIR": str(socket_folder())}


def service_environment() -> dict[str, str]:
    """Return the same for a program whose children may fill TMPDIR; `restore_temporary_folder` puts it back."""
    short = socket_environment()
    return {**short, KEPT: str(temporary_folder())} if short else {}


def restore_temporary_folder() -> None:
    """Let this process keep its temporary files where the user's TMPDIR says, whatever a service needed for sockets."""
    if kept := os.environ.pop(KEPT, None):
        os.environ["TMPDIR"] = kept
        tempfile.tempdir = None


def _fits(folder: str) -> bool:
    return len(os.fsencode(folder)) + ROOM <= LONGEST

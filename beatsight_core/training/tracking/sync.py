"""Sending to Weights & Biases what was kept offline, by W&B's own `wandb sync`.

An offline folder holds its whole run (see `mirror`), so that of several of one run the newest is sent. W&B marks what
it has sent by a file `*.synced` beside the data, and that mark, not the command's exit code, is what counts here.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from beatsight_core.files import storage_errors
from beatsight_core.settings import Settings
from beatsight_core.training.tracking.mirror import run_folders
from beatsight_core.training.tracking.tracking import mirror_lock

LIMIT_S = 40.0
"""Seconds for all folders together: `wandb sync` itself tries an unreachable server for ever, and a sensor has 60 s."""

_STAMP = len("run-20251109_080000-")


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The result of one call.

    Attributes:
        synced: Folders that were sent.
        failed: Folders that were not sent, with the reason.
        waiting: Folders that there was no time for, or whose run is still under way.
    """

    synced: tuple[Path, ...] = ()
    failed: dict[Path, str] = field(default_factory=dict)
    waiting: tuple[Path, ...] = ()

    def __str__(self) -> str:
        told = [f"{len(self.synced)} offline runs sent to W&B"]
        told += [f"{path.name} was not: {why}" for path, why in self.failed.items()]
        return "; ".join(told + ([f"{len(self.waiting)} wait"] if self.waiting else []))


def wanted(settings: Settings) -> bool:
    """Return whether settings ask for it: `tracking.sync`, or tracking that is online and was not always."""
    return settings.tracking.sync or settings.tracking.mode in ("online", "shared")


def unsent(settings: Settings) -> list[Path]:
    """Return the offline folders that W&B has not marked as sent, the newest of each run, oldest first."""
    newest = {
        path.name.removeprefix("offline-")[_STAMP:]: path
        for path in run_folders(settings.wandb_root)
        if path.name.startswith("offline-")
    }
    return [path for path in newest.values() if any(path.glob("*.wandb")) and not is_synced(path)]


def is_synced(folder: Path) -> bool:
    """Return whether W&B has marked a folder as sent."""
    return any(folder.glob("*.wandb.synced"))


def sync_command(folder: Path) -> list[str]:
    """Return the command that sends one folder."""
    return [sys.executable, "-m", "wandb", "sync", str(folder)]


def sync_offline_runs(settings: Settings, limit_s: float | None = None) -> SyncResult:
    """Send what is unsent, one after the other, until the time is up.

    Args:
        settings: Settings with the folder of W&B's files.
        limit_s: Seconds for all of it; by default `LIMIT_S`.
    """
    began, folders = time.monotonic(), unsent(settings)
    limit_s = LIMIT_S if limit_s is None else limit_s
    synced: list[Path] = []
    failed: dict[Path, str] = {}
    waiting: list[Path] = []
    for folder in folders:
        left_s = limit_s - (time.monotonic() - began)
        with _unless_mirrored(settings, folder) as free:
            if left_s <= 0 or not free:
                waiting.append(folder)
            elif why := _send(folder, left_s):
                failed[folder] = why
            else:
                synced.append(folder)
    return SyncResult(tuple(synced), failed, tuple(waiting))


def _send(folder: Path, limit_s: float) -> str | None:
    """Send a folder, and return why it could not be sent; None if it was. Nothing that W&B prints is passed on."""
    environment = {**os.environ, "WANDB_ERROR_REPORTING": "false"}
    environment.pop("WANDB_MODE", None)  # "offline" is for runs
    process = subprocess.Popen(
        sync_command(folder), cwd=folder.parent.parent, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        code: int | None = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        with contextlib.suppress(ProcessLookupError):  # W&B's own service ends by itself when this is gone
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if is_synced(folder):
        return None
    if code is None:
        return f"W&B did not answer within {limit_s:.0f} s"
    return f"`wandb sync` ended with {code} and sent nothing; is there a key (`wandb login`)?"


@contextlib.contextmanager
def _unless_mirrored(settings: Settings, folder: Path) -> Iterator[bool]:
    """Give whether no mirror writes that folder's run, which stays so while the block runs."""
    path = mirror_lock(settings, folder.name.removeprefix("offline-")[_STAMP:])
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)

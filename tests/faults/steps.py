"""The steps by which a process changes a drive, counted; at one of them something happens to it.

A step is a rename, link, removal, new folder, flush, or the opening of a file for writing, below a watched folder, by
the process or any of its workers. Python announces them to audit hooks (flushes excepted, which are wrapped), so that
the code under test knows nothing of it. Native libraries that write a file do so between two steps.

The plan comes in an environment variable: worker processes get it too, by `site/sitecustomize.py`.
"""

import errno
import json
import os
import re
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

VARIABLE = "BEATSIGHT_TEST_STEPS"
RECORD = 200
"""Bytes of a line in the log of steps: equally long, so that a process learns its number from where its line ended."""

_CHANGES = ("os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


@dataclass(frozen=True)
class Plan:
    """What is watched and what happens.

    Attributes:
        folder: Steps below it count.
        log: Where they are written down.
        at: The number of the step that something happens at; 0 for none.
        act: "kill" (the process group, before the step), "error:EIO" (the step fails so), "fill:LEFT" (the drive is
            filled until LEFT bytes are free), "vanish:FOLDER" (a folder is renamed).
        lasting: Whether an error stays from that step on.
        reads: Count the opening of files for reading instead.
    """

    folder: str
    log: str
    at: int = 0
    act: str = "kill"
    lasting: bool = False
    reads: bool = False

    def to_text(self) -> str:
        """For the environment."""
        return json.dumps(asdict(self))


def read_steps(log: Path, folder: Path) -> list[str]:
    """The names of the steps in a log, with what differs from run to run left out."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [_named(line.strip(), str(folder)) for line in lines]


def install() -> None:
    """Watch this process as the environment says, if it does. Cannot be undone."""
    text = os.environ.get(VARIABLE)
    if text:
        _Watch(Plan(**json.loads(text))).begin()


class _Watch:
    def __init__(self, plan: Plan):
        self._plan = plan
        self._log = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._busy = False

    def begin(self) -> None:
        sys.addaudithook(self._heard)
        if not self._plan.reads:
            os.fsync = self._wrapped(os.fsync)

    def _wrapped(self, fsync: Any) -> Any:
        def watched(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self._step("fsync", os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
            fsync(descriptor)

        return watched

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy:
            return
        if event == "open":
            path, _, flags = arguments
            if bool(flags & _WRITING) is not self._plan.reads and isinstance(path, str | bytes | os.PathLike):
                self._step("open", os.fsdecode(path))
        elif event in _CHANGES and not self._plan.reads:
            path = arguments[1] if event in ("os.rename", "os.link") else arguments[0]
            self._step(event.removeprefix("os."), os.fsdecode(path))

    def _step(self, what: str, path: str) -> None:
        if not path.startswith(self._plan.folder):
            return
        line = f"{what} {path}".encode()[: RECORD - 1].ljust(RECORD - 1) + b"\n"
        os.write(self._log, line)
        number = os.lseek(self._log, 0, os.SEEK_CUR) // RECORD
        at = self._plan.at
        if at and (number == at or (self._plan.lasting and number > at)):
            self._busy = True
            try:
                self._act(path)
            finally:
                self._busy = False

    def _act(self, path: str) -> None:
        kind, _, what = self._plan.act.partition(":")
        if kind == "kill":
            os.kill(0, signal.SIGKILL)
        elif kind == "error":
            number = getattr(errno, what)
            raise OSError(number, os.strerror(number), path)
        elif kind == "fill":
            fill(Path(self._plan.folder), int(what))
        elif kind == "vanish":
            os.rename(what, f"{what}.gone")  # noqa: PTH104


def fill(folder: Path, left: int) -> None:
    """Fill the drive of a folder until only `left` bytes are free."""
    drive = os.statvfs(folder)
    taken = drive.f_bavail * drive.f_frsize - left
    if taken > 0:
        with (folder / FILLER).open("ab") as filler:
            os.posix_fallocate(filler.fileno(), filler.tell(), taken)


FILLER = "filler"


def _named(line: str, folder: str) -> str:
    name = line.replace(folder + "/", "")
    name = re.sub(r"\.tmp-[0-9a-f]+-\d+-[0-9a-f]+", ".tmp", name)
    name = re.sub(r"epoch-\d+-step-\d+", "epoch-<n>-step-<n>", name)
    name = re.sub(r"[0-9a-f]{40}", "<digest>", name)
    name = re.sub(r"/[0-9a-f]{2}(?=$|/)", "/<aa>", name)
    name = re.sub(r"[0-9a-f]{20}\.json", "<note>.json", name)
    return re.sub(r"-[0-9a-f]{8}\b", "-<sha>", name)

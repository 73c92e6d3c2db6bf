"""Children that start at once: forked from a process that has imported everything and done nothing.

Each child is a session of its own, runs one verb of the command line in it, and leaves its exit code in a file. A child
that was killed leaves none. The nursery itself never runs a verb, so that it holds no threads and no state.
"""

import ctypes
import importlib
import importlib.util
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from tests.faults import steps

ROOT = Path(__file__).absolute().parents[2]
SITE = Path(__file__).parent / "site"

_PRELOADED = (
    "beatsight_core.cli.verbs.data",
    "beatsight_core.cli.verbs.manifest",
    "beatsight_core.dataset.verify_export",
    "soundfile",
)
_OBEY_MODES = (1 << 1) | (1 << 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root ignores permissions."""


@dataclass(frozen=True)
class Ended:
    """A child that has ended.

    Attributes:
        code: Its exit code; None if it was killed.
        out: What it printed.
        errors: What it printed as errors.
        seconds: That it took.
        steps: Names of the steps it made, if they were watched.
    """

    code: int | None
    out: str
    errors: str
    seconds: float
    steps: tuple[str, ...] = ()

    @property
    def killed(self) -> bool:
        """Whether it did not come to its end."""
        return self.code is None


class Child:
    """A running child."""

    def __init__(self, pid: int, place: Path, watched: Path | None):
        self.pid, self._place, self._watched = pid, place, watched
        self._began = time.monotonic()
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended already
            self._descriptor = -1

    def wait(self, seconds: float = 120.0) -> bool:
        """Wait for its end; says whether it has ended."""
        if self._descriptor < 0:
            return True
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def kill(self) -> None:
        """Kill it and its workers, with -9."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            if not self.wait(0):
                os.kill(self.pid, signal.SIGKILL)

    def end(self, seconds: float = 120.0) -> Ended:
        """Wait until it and its workers are gone, and say what became of it."""
        hung = not self.wait(seconds)
        took = time.monotonic() - self._began
        if hung:
            self.kill()
            self.wait()
        _wait_for_group(self.pid)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        code = self._place / "code"
        log = self._place / "steps"
        return Ended(
            -1 if hung else int(code.read_text()) if code.exists() else None,
            (self._place / "out").read_text(errors="replace") if (self._place / "out").exists() else "",
            (self._place / "errors").read_text(errors="replace") if (self._place / "errors").exists() else "",
            took,
            tuple(steps.read_steps(log, self._watched)) if self._watched else (),
        )


class Nursery:
    """Starts children. A context manager.

    Args:
        folder: Where children leave what they say.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._count = 0
        environment = {**_plain_environment(), "PYTHONPATH": f"{SITE}{os.pathsep}{ROOT}"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        plan: Mapping[str, Any] | None = None,
        file_bytes: int | None = None,
        obey_modes: bool = False,
    ) -> Child:
        """Start a verb.

        Args:
            arguments: Of `beatsight`.
            environment: Beside the plain one.
            plan: Fields of a `steps.Plan`, save `log`.
            file_bytes: The longest file that it may write.
            obey_modes: Whether permissions hold for it even if it is root.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._count += 1
        place = self._folder / f"{self._count:06d}"
        place.mkdir(parents=True)
        wanted = dict(environment)
        if plan is not None:
            wanted[steps.VARIABLE] = steps.Plan(log=str(place / "steps"), **plan).to_text()
        request = {
            "arguments": list(arguments), "environment": wanted, "place": str(place), "file_bytes": file_bytes,
            "obey_modes": obey_modes,
        }  # fmt: skip
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the nursery has ended")
        return Child(int(answer), place, Path(plan["folder"]) if plan else None)


def serve() -> None:
    """Fork a child for each line of standard input, and answer with its number."""
    for name in (*_PRELOADED, *_heavy()):
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children: they are taken away as they end
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(request)
        print(pid, flush=True)


def _heavy() -> list[str]:
    """What features need, and what pyarrow imports by itself at first use, where it is installed."""
    of_torch = (
        "cli.verbs.model", "cli.verbs.release", "evaluation.predict", "features.build", "features.logmel",
        "promotion.archive", "promotion.clearance", "promotion.promote", "training.fit", "training.run",
    )  # fmt: skip
    needed = {"torch": [f"beatsight_core.{name}" for name in of_torch], "pandas": ["pandas"]}
    return [name for package, names in needed.items() if importlib.util.find_spec(package) for name in names]


def _live(request: dict[str, Any]) -> NoReturn:
    code = 99
    place = Path(request["place"])
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _redirect(place)
        os.environ.update(request["environment"])
        if request["file_bytes"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"], resource.RLIM_INFINITY))
        if request["obey_modes"]:
            _obey_modes()
        steps.install()
        code = _verb(request["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        (place / "code").write_text(str(code))
        os._exit(0)


def _verb(arguments: list[str]) -> int:
    import traceback

    from beatsight_core.cli.main import main

    sys.argv = ["beatsight", *arguments]
    try:
        main()
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except BaseException:  # noqa: BLE001 - whatever comes out here is what the harness looks for
        traceback.print_exc()
        return 98
    return 0


def _redirect(place: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, name in ((1, "out"), (2, "errors")):
        os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)


def _obey_modes() -> None:
    """Give up the right to ignore permissions, for this process and its children."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    for capability in (1, 2):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: what is executed later lacks it as well
    if libc.capget(header, sets) == 0:
        for place in (0, 1, 2):
            sets[place] &= ~_OBEY_MODES
        libc.capset(header, sets)


def _plain_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BEATSIGHT_", "WANDB_"))}
    return {
        **kept,
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _wait_for_group(group: int, seconds: float = 10.0) -> None:
    """Wait until no process of a group lives: a killed parent's workers take a moment."""
    deadline = time.monotonic() + seconds
    while _lives(group):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes of group {group} outlived their parent by {seconds} s")
        time.sleep(0.002)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    for folder in Path("/proc").iterdir():  # somebody is there, perhaps only dead ones that nobody has asked about
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in ("Z", "X"):
                return True
    return False


if __name__ == "__main__":
    serve()

"""What a stage is given, how it reports, and the process that it runs in."""

import contextlib
import faulthandler
import importlib
import json
import logging
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

LINES, LOG, SCRATCH = "gpu.jsonl", "gpu.log", "scratch"
PASSED, FAILED, NO_DEVICE, LEFT_OUT = 0, 1, 3, 5
"""Exit codes of a stage's process."""

_terminal: list[TextIO] = []
"""Where lines are shown, in a stage's process, whose standard output is the log."""

_OURS = ("benchmarks", "beatsight_core", "tests")


@dataclass
class Context:
    """What a stage is given.

    Attributes:
        stage: Its name.
        device: "cuda" or "cpu".
        tiny: Whether only the script itself is tried.
        out: Folder of the results.
        began: When the script began, by the monotonic clock, which all processes of a machine share.
        deadline: When the stage is ended, by the same clock.
        versions: Values that every finding and check carries: torch, and how it stands to the pinned one.
        failures: Checks that failed.
    """

    stage: str
    device: str
    tiny: bool
    out: Path
    began: float
    deadline: float
    versions: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def on_cuda(self) -> bool:
        """Whether the device is one of CUDA."""
        return self.device == "cuda"

    @property
    def left_s(self) -> float:
        """Seconds until the stage is ended."""
        return self.deadline - time.monotonic()

    def torch_device(self) -> Any:
        """The device as torch names it: of several, the first."""
        import torch

        return torch.device("cuda", 0) if self.on_cuda else torch.device("cpu")

    def scratch(self) -> Path:
        """Return a folder for files that nobody wants to keep; the script removes it at its end."""
        folder = self.out / SCRATCH
        folder.mkdir(exist_ok=True)
        return folder

    def say(self, name: str, **values: Any) -> None:
        """Write a finding."""
        self.write("finding", name=name, **self.versions, **values)

    def check(self, name: str, passed: bool, *, value: Any, limit: Any, **more: Any) -> None:
        """Write a check with its figure and its limit; one that failed makes the stage fail at its end."""
        if not passed:
            self.failures.append(name)
        self.write("check", name=name, passed=bool(passed), value=value, limit=limit, **self.versions, **more)

    def leave_out(self, name: str, why: str) -> None:
        """Write that something was not done."""
        self.write("left_out", name=name, why=why)

    def write(self, kind: str, **values: Any) -> None:
        """Append a line to the results at once, and show it."""
        at = round(time.monotonic() - self.began, 2)
        line = {"at": at, "stage": self.stage, "kind": kind, **_plain(values)}
        append_line(self.out / LINES, line)
        show(line)


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Append a JSON object and a line's end in one write, so that no line is ever half there."""
    text = json.dumps(line, default=str, allow_nan=False) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def show(line: dict[str, Any]) -> None:
    """Print a line for people."""
    hidden = ("at", "stage", "kind", "name", "torch", "pin")
    values = ", ".join(f"{key} {value}" for key, value in line.items() if key not in hidden)
    text = f"{line['at']:7.1f} s  {line['stage']:10} {line['kind']:8} {line.get('name', '')}: {values}"
    with contextlib.suppress(OSError):  # nobody may be reading any more, and the results are in the file
        print(" ".join(text.splitlines()), flush=True, file=_terminal[0] if _terminal else sys.stdout)


def _plain(value: Any) -> Any:
    """The same as JSON can say it, floats with six digits."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value


def run_stage(work: str, context: Context) -> None:
    """Do a stage; this is a process of its own, which ends here with one of the exit codes above.

    Args:
        work: Function that does it, "module:function".
        context: What it is given.
    """
    os.setsid()  # so that the stage can be ended together with all processes that it started
    threading.Thread(target=_end_with_the_script, name="script", daemon=True).start()
    with _output_to(context.out / LOG, context.stage):
        sys.exit(_outcome(work, context))


def _outcome(work: str, context: Context) -> int:
    module, _, name = work.partition(":")
    logging.getLogger("beatsight").addHandler(_Warnings(context))
    try:
        answer = getattr(importlib.import_module(module), name)(context)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in _OURS:
            context.leave_out(context.stage, f"the package {missing} is not installed here")
            return LEFT_OUT
        return _broken(context, error)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is reported, and the process ends
        return _broken(context, error)
    return answer if isinstance(answer, int) else FAILED if context.failures else PASSED


def _broken(context: Context, error: BaseException) -> int:
    traceback.print_exc()
    where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)][-4:]
    context.write("error", name=type(error).__name__, why=str(error)[:1500], where=where)
    return FAILED


def _end_with_the_script() -> None:
    """End this stage, with all that it started, when the script is gone: it may have been killed."""
    script = multiprocessing.parent_process()
    if script is not None:
        script.join()
        os.killpg(0, signal.SIGKILL)


@contextlib.contextmanager
def _output_to(log: Path, stage: str) -> Iterator[None]:
    """Send what libraries print to the log; only what is shown as a line goes to the terminal."""
    _terminal.append(os.fdopen(os.dup(1), "w", buffering=1))
    with log.open("a", buffering=1) as file:
        file.write(f"== {stage}\n")
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = (os.fdopen(os.dup(descriptor), "w", buffering=1) for descriptor in (1, 2))
        faulthandler.enable(file=sys.stderr, all_threads=False)
        yield


class _Warnings(logging.Handler):
    """Turns warnings of the project into findings: they say that something was done in another way than asked."""

    def __init__(self, context: Context):
        super().__init__(logging.WARNING)
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        self._context.write("warning", name=record.getMessage()[:500])

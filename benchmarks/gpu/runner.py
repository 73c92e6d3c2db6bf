"""Runs stages, each in a process of its own, within the time that there is.

The processes are forked from one that has imported torch and has not touched CUDA: this saves each of them the seconds
that importing torch takes.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import FAILED, LEFT_OUT, LOG, NO_DEVICE, PASSED, Context, run_stage
from benchmarks.gpu.stage_list import FACTS, Stage

_ENDS = {PASSED: "passed", FAILED: "failed", LEFT_OUT: "left out", NO_DEVICE: "no device"}
_LAST_BYTES = 3000
_TINY_PATIENCE = 3.0
"""Limits are for a GPU and its host; a tiny run only tries the script, perhaps on a CPU that is busy."""

_PRELOADED = ["torch", "torch._dynamo"]
"""The second is what an optimizer imports at its first step. Neither touches CUDA nor begins threads of its own."""


@dataclass(slots=True)
class _Running:
    stage: Stage
    process: Any
    began: float
    until: float
    log_from: int


class Runner:
    """Runs stages one after the other, those that need not be alone a few at a time.

    Args:
        stages: The stages, in order.
        context: Context of the script itself; each stage gets a copy with its own name and limit.
        jobs: Number of stages that may run at a time.

    Attributes:
        ends: How each stage that began ended, by its name.
        stopped: Whether it was asked to stop.
    """

    def __init__(self, stages: Sequence[Stage], context: Context, jobs: int):
        self.ends: dict[str, str] = {}
        self.stopped = False
        self._told, self._tell = os.pipe()
        self._waiting, self._context, self._jobs = deque(stages), context, jobs
        self._running: list[_Running] = []
        self._start = multiprocessing.get_context("forkserver")
        self._start.set_forkserver_preload(_PRELOADED)

    def run(self) -> None:
        """Run all stages, or until it is asked to stop; then those under way are ended."""
        while not self.stopped and (self._waiting or self._running):
            while self._waiting and self._may_begin(self._waiting[0]):
                self._begin(self._waiting.popleft())
            self._wait()
        for running in self._running:
            self._kill(running)

    def stop(self, *_: object) -> None:
        """Stop soon: may be called by a signal at any moment."""
        self.stopped = True
        os.write(self._tell, b"stop")

    def _may_begin(self, stage: Stage) -> bool:
        if not self._running:
            return True
        if len(self._running) == self._jobs or any(running.stage is FACTS for running in self._running):
            return False
        alone = stage.alone or any(running.stage.alone for running in self._running)
        return self._context.tiny or not alone

    def _begin(self, stage: Stage) -> None:
        left_s, now = self._context.left_s, time.monotonic()
        cap_s = stage.cap_s * (_TINY_PATIENCE if self._context.tiny else 1.0)
        context = self._of(stage, min(self._context.deadline, now + cap_s))
        if stage.needs_cuda and not context.on_cuda:
            context.leave_out(stage.name, "it needs a CUDA device")
        elif left_s < stage.least_s:
            context.leave_out(stage.name, f"{left_s:.0f} s are left, and it needs {stage.least_s:.0f}")
        else:
            log = context.out / LOG
            process = self._start.Process(target=run_stage, args=(stage.work, context), name=stage.name)
            process.start()
            log_from = log.stat().st_size if log.exists() else 0
            self._running.append(_Running(stage, process, now, context.deadline, log_from))

    def _wait(self) -> None:
        """Wait until a stage ends or has run out of time."""
        if not self._running:
            return
        until = min(running.until for running in self._running)
        ends = [running.process.sentinel for running in self._running]
        wait([self._told, *ends], max(0.0, until - time.monotonic()))
        for running in list(self._running):
            late = time.monotonic() >= running.until
            if late or not running.process.is_alive():
                self._kill(running)
                self._running.remove(running)
                self._end(running, late)

    def _kill(self, running: _Running) -> None:
        """End a stage's process and whatever it has left running."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.kill()  # if it had no group of its own yet
        running.process.join()

    def _end(self, running: _Running, late: bool) -> None:
        """Write how a stage ended."""
        stage, code = running.stage, running.process.exitcode
        seconds = round(time.monotonic() - running.began, 1)
        context, more = self._of(stage, running.until), {}
        if code in _ENDS:
            end = _ENDS[code]
        else:
            end = f"ran out of its {seconds:.0f} s" if late else f"crashed: {_code(code)}"
            more["log"] = _tail(context.out / LOG, running.log_from)
        self.ends[stage.name] = end
        context.write("end", name=end, seconds=seconds, **more)
        if code == NO_DEVICE:
            self._waiting.clear()

    def _of(self, stage: Stage, deadline: float) -> Context:
        of = self._context
        return Context(stage.name, of.device, of.tiny, of.out, of.began, deadline, of.versions)


def _code(code: int) -> str:
    with contextlib.suppress(ValueError):
        if code < 0:
            return signal.Signals(-code).name
    return f"exit code {code}"


def _tail(log: Path, start: int) -> str:
    """The end of what was printed since a stage began."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - _LAST_BYTES))
        return file.read().decode(errors="replace")

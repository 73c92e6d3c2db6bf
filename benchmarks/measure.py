"""A process and what it took: time, CPU time, memory. The machine it ran on."""

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

MIB = 1 << 20
SAMPLE_S = 0.2
"""Seconds between looks at the memory of a process and its children: each costs 3 ms."""

LIMIT_S = 600.0
"""A process that takes longer is killed: nothing here takes a tenth of it."""

PACKAGES = ("numpy", "polars", "pyarrow", "orjson", "soundfile", "soxr", "torch", "torchaudio", "dagster")


@dataclass(frozen=True, slots=True)
class Took:
    """What a process took.

    Attributes:
        seconds: From its start to its end.
        cpu_seconds: Of it and its children.
        largest_mib: Greatest resident memory of the largest single process among it and its children.
        together_mib: Greatest sum over all of them at one moment; memory that they share counts in each.
        said: The JSON object on its standard output.
    """

    seconds: float
    cpu_seconds: float
    largest_mib: float
    together_mib: float
    said: dict[str, Any]


class _Watch(threading.Thread):
    """Looks at a process and its children now and then: memory in bytes, CPU seconds of each when last seen."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self._process, self._done = psutil.Process(pid), threading.Event()
        self._cpu: dict[int, float] = {}
        self.largest = self.together = 0

    @property
    def cpu_seconds(self) -> float:
        return sum(self._cpu.values())

    def run(self) -> None:
        while not self._done.wait(SAMPLE_S):
            sizes = list(self._sizes())
            self.largest = max(self.largest, *sizes, 0)
            self.together = max(self.together, sum(sizes))

    def _sizes(self) -> Iterator[int]:
        with contextlib.suppress(psutil.Error):
            for process in (self._process, *self._process.children(recursive=True)):
                with contextlib.suppress(psutil.Error), process.oneshot():
                    times = process.cpu_times()
                    self._cpu[process.pid] = times.user + times.system
                    yield process.memory_info().rss

    def stop(self) -> None:
        self._done.set()
        self.join()


def take(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    allowed: Iterable[int] = (0,),
    folder: Path | None = None,
) -> Took:
    """Run a command to its end and measure it.

    Args:
        command: The program and its arguments.
        env: Variables beside those that are set.
        allowed: Exit codes that are a result.
        folder: To run in.

    Raises:
        RuntimeError: It ended with another exit code, or by the limit; the end of what it said is in the message.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        cwd=folder,
    ) as process:
        watch, limit = _Watch(process.pid), threading.Timer(LIMIT_S, process.kill)
        watch.start()
        limit.start()
        errors: list[bytes] = []
        reader = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)  # type: ignore[union-attr]
        reader.start()
        output = process.stdout.read()  # type: ignore[union-attr]
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        limit.cancel()
        watch.stop()
        reader.join()
    if process.returncode not in allowed:
        words = " ".join(map(str, command))
        raise RuntimeError(f"exit code {process.returncode}: {words}\n{b''.join(errors).decode()[-2000:]}")
    # The system knows the peak exactly, but begins with the size of this process, which it was started from.
    largest = max(usage.ru_maxrss * 1024 if usage.ru_maxrss > _our_peak_kib() else 0, watch.largest)
    return Took(
        seconds=seconds,
        # Workers that are nobody's to wait for are missing in the former, the last moments of each in the latter.
        cpu_seconds=max(usage.ru_utime + usage.ru_stime, watch.cpu_seconds),
        largest_mib=largest / MIB,
        together_mib=max(largest, watch.together) / MIB,
        said=json.loads(output) if output.lstrip().startswith(b"{") else {},
    )


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system, and how busy it is before a row begins."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, Any]:
    """Of Python, the packages that do the work, and the project."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    here = Path(__file__).parent
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        found["revision"] = _git(here, "rev-parse", "--short=12", "HEAD")
        found["modified"] = bool(_git(here, "status", "--porcelain", "--untracked-files=no"))
    return found


def now() -> str:
    """The time, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _our_peak_kib() -> int:
    """Greatest resident size of this process since it began."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

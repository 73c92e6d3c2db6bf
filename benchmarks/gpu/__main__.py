"""The command line: `python -m benchmarks.gpu OUT`; see the package's docstring."""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import benchmarks.gpu as package
from benchmarks.gpu.context import FAILED, LINES, LOG, NO_DEVICE, PASSED, SCRATCH, Context
from benchmarks.gpu.lines import first, read_lines
from benchmarks.gpu.pinned import compared, pinned_torch
from benchmarks.gpu.runner import Runner
from benchmarks.gpu.stage_list import STAGES, Stage, chosen_stages
from benchmarks.gpu.summary import failures, verdicts

SECONDS = 480.0
_AT_A_TIME = 3
"""Stages that run at the same time, of those that take no times."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stages and sum up; the exit code."""
    given = _parsed(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in (LINES, LOG):
        (given.out / name).unlink(missing_ok=True)
    _set_threads(given.tiny)
    began = time.monotonic()
    out = given.out.absolute()
    context = Context("all", given.device, given.tiny, out, began, began + given.seconds, _versions())
    context.write("begin", name="begin", seconds=given.seconds, device=given.device, tiny=given.tiny)
    return run(given.only, context)


def _set_threads(tiny: bool) -> None:
    """Set what libraries read when a process loads them: threads that do not spin, as the platform has it."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if tiny:  # nets this small are not worth two threads, least of all where stages run side by side
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def run(stages: Sequence[Stage], context: Context) -> int:
    """Run stages and write the summary, also if a signal stops them; the exit code."""
    runner = Runner(stages, context, min(_AT_A_TIME, os.cpu_count() or 1))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, runner.stop)
    runner.run()
    shutil.rmtree(context.out / SCRATCH, ignore_errors=True)
    return _summed_up(context, runner.stopped)


def _summed_up(context: Context, cut: bool) -> int:
    """Write which targets were met and which checks failed; the exit code."""
    lines = read_lines(context.out / LINES)
    if none := first(lines, "no_device"):
        print(f"There is no CUDA device here: {none['why']}. `--device cpu --tiny` tries the script without one.")
        return NO_DEVICE
    failed = failures(lines)
    for verdict in verdicts(lines):
        context.write("target", name=verdict.target, **verdict.to_json())
    for what in failed:
        context.write("failed", name=what)
    passed = sum(line["kind"] == "check" and line["passed"] for line in lines)
    left_out = [line["name"] for line in lines if line["kind"] == "left_out"]
    seconds = round(time.monotonic() - context.began, 1)
    context.write("summary", name="all", passed=passed, failed=len(failed), left_out=left_out, cut=cut, seconds=seconds)
    return FAILED if failed or cut else PASSED


def _versions() -> dict[str, Any]:
    """The installed torch and how it stands to the pinned one, for every line of a figure."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return {"torch": "missing", "pin": pinned_torch()}
    return {"torch": torch, "pin": compared(torch, pinned_torch())}


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.gpu", description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help=f"folder that gets {LINES} and {LOG}")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"time for everything, {SECONDS:.0f} by default")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a few clips and steps: to try the script itself")
    names = ", ".join(stage.name for stage in STAGES)
    parser.add_argument("--only", type=_stages, default=list(STAGES), help=f"stages, with commas: {names}")
    return parser.parse_args(arguments)


def _stages(text: str) -> list[Stage]:
    try:
        return chosen_stages([name.strip() for name in text.split(",") if name.strip()])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())

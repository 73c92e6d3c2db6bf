"""Jobs of tiny steps for the executor's tests. Step processes import this file, so it imports little.

Each step leaves `<step>-<pid>.json` in the folder named by STEP_RECORDS: when it ran and what devices it saw.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg

from beatsight_dagster.executor.device_executor import device_executor
from beatsight_dagster.executor.run_here import run_here

ONE_DEVICE, TWO_DEVICES = {"beatsight/gpu": "1"}, {"beatsight/gpu": "2"}


def record(context: dg.OpExecutionContext, hold_s: float) -> None:
    began = time.time()
    time.sleep(hold_s)
    told = {
        "step": context.op.name,
        "run": context.run_id,
        "pid": os.getpid(),
        "began": began,
        "ended": time.time(),
        "devices": os.environ["CUDA_VISIBLE_DEVICES"],
        "order": os.environ["CUDA_DEVICE_ORDER"],
        "leads_session": os.getsid(0) == os.getpid(),
    }
    Path(os.environ["STEP_RECORDS"], f"{context.op.name}-{os.getpid()}.json").write_text(json.dumps(told))


def step(name: str, tags: dict[str, str] | None = None, hold_s: float = 0.3) -> dg.OpDefinition:
    @dg.op(name=name, tags=tags or {})
    def body(context: dg.OpExecutionContext) -> None:
        record(context, hold_s)

    return body


@dg.op(tags=ONE_DEVICE, retry_policy=dg.RetryPolicy(max_retries=1))
def dies_once(context: dg.OpExecutionContext) -> None:
    if context.retry_number == 0:
        os.kill(os.getpid(), 9)
    record(context, 0.0)


@dg.op(tags=ONE_DEVICE)
def lingers(context: dg.OpExecutionContext) -> None:
    """Runs for a minute, with a worker of its own, unless it is ended."""
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    folder = Path(os.environ["STEP_RECORDS"])
    folder.joinpath("lingers.tmp").write_text(json.dumps({"pid": os.getpid(), "worker": worker.pid}))
    folder.joinpath("lingers.tmp").rename(folder / "lingers.json")
    time.sleep(60)


@dg.op(tags=ONE_DEVICE, ins={"lingered": dg.In(dg.Nothing)})
def never_starts(context: dg.OpExecutionContext) -> None:
    record(context, 0.0)


def mixed() -> dg.JobDefinition:
    """Steps with and without a device, one that dies once, one that wants too many."""
    steps = [step("one", ONE_DEVICE), step("plain_1"), step("plain_2"), step("too_wide", {"beatsight/gpu": "3"})]

    @dg.job(name="mixed", executor_def=device_executor)
    def job() -> None:
        for body in steps:
            body()
        dies_once()

    return job


def crowd() -> dg.JobDefinition:
    """Six steps, with more requests than two devices can serve at once."""
    narrow = [step(f"one_{number}", ONE_DEVICE, hold_s=0.1) for number in range(3)]
    wide = [step(f"both_{number}", TWO_DEVICES, hold_s=0.1) for number in range(2)]

    @dg.job(name="crowd", executor_def=device_executor)
    def job() -> None:
        for body in (*narrow, *wide, step("plain", hold_s=0.1)):
            body()

    return job


def unfair() -> dg.JobDefinition:
    """One step that wants both devices, and narrow ones that ask after it."""

    @dg.op
    def first() -> None:
        pass

    def later(name: str) -> dg.OpDefinition:
        @dg.op(name=name, tags=ONE_DEVICE, ins={"after": dg.In(dg.Nothing)})
        def body(context: dg.OpExecutionContext) -> None:
            record(context, 0.0)

        return body

    wide, narrow = step("wide", TWO_DEVICES, hold_s=0.1), [later(f"narrow_{number}") for number in range(2)]

    @dg.job(name="unfair", executor_def=device_executor)
    def job() -> None:
        wide()
        asked = first()
        for body in narrow:
            body(asked)

    return job


def single() -> dg.JobDefinition:
    """One step that wants a device."""
    body = step("one", ONE_DEVICE, hold_s=0.0)

    @dg.job(name="single", executor_def=device_executor)
    def job() -> None:
        body()

    return job


def lingering() -> dg.JobDefinition:
    """One long step, and one behind it."""

    @dg.job(name="lingering", executor_def=device_executor)
    def job() -> None:
        never_starts(lingers())

    return job


defs = dg.Definitions(jobs=[lingering()])
"""What a server of this file offers."""


def main() -> None:
    """Execute a job of this file as a run process does: `python executor_jobs.py JOB`, instance from DAGSTER_HOME."""
    with (
        dg.DagsterInstance.get() as instance,
        run_here(dg.reconstructable(globals()[sys.argv[1]]), instance) as result,
    ):
        sys.exit(0 if result.success else 1)


if __name__ == "__main__":
    main()

"""The process of one step: ends with the run that started it, whatever ends that run, and otherwise is Dagster's own.

Started as `python -m beatsight_dagster.executor.step_worker` by the step handler, in a session of its own.
"""

import ctypes
import os
import signal
import sys
import threading
import time

PARENT_VARIABLE = "BEATSIGHT_STEP_PARENT"
GRACE_VARIABLE = "BEATSIGHT_STEP_GRACE_S"

_PR_SET_PDEATHSIG = 1
_WATCH_EVERY_S = 0.5


def main() -> None:
    """Tie this process to its parent, then execute the step named in the environment."""
    parent = int(os.environ[PARENT_VARIABLE])
    reset_signals()
    die_with_parent(parent, float(os.environ.get(GRACE_VARIABLE, "15")))
    from dagster._cli.api import api_cli

    try:
        api_cli(args=["execute_step"], prog_name="dagster api")  # its argument comes in an environment variable
    finally:
        if os.getppid() != parent:
            _end_session(signal.SIGKILL)  # nobody is left to end this step's own workers


def reset_signals() -> None:
    """Undo ignored signals, which a process started in the background of a script inherits."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def die_with_parent(parent: int, grace_s: float) -> None:
    """End this process and its session when the parent ends: SIGTERM at once, SIGKILL after the grace.

    Args:
        parent: Process id of the run that started this step.
        grace_s: Seconds from the parent's end until the kill.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the line above
        sys.exit("the run that started this step is gone")
    threading.Thread(target=_watch, args=(parent, grace_s), name="parent-watch", daemon=True).start()


def _watch(parent: int, grace_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_EVERY_S)
    _end_session(signal.SIGTERM)
    time.sleep(grace_s)
    _end_session(signal.SIGKILL)


def _end_session(number: int) -> None:
    if os.getpgrp() == os.getpid():  # leads its own group, so nothing of others is in it
        os.killpg(os.getpid(), number)
    else:
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    main()

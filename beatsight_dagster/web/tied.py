"""Runs a module as a program that ends with the process that started it, however that one ends.

    python -m beatsight_dagster.web.tied PARENT GRACE_S MODULE [ARGUMENT ...]

On Linux the system sends SIGTERM at the parent's end; elsewhere, and if that is not heeded, a thread looks. A Ctrl-C
that comes while the module is still being imported ends it without a word.
"""

import runpy
import sys

from beatsight_dagster.executor.step_worker import die_with_parent, reset_signals

INTERRUPTED = 130


def main() -> None:
    """Tie this process to its parent, then become the module."""
    parent, grace_s, module = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    reset_signals()
    die_with_parent(parent, grace_s)
    sys.argv = sys.argv[3:]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

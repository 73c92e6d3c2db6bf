"""A short process that is asked something, and left alone if it hangs."""

import contextlib
import subprocess
from collections.abc import Mapping, Sequence

_GRACE_S = 1.0


def output_of(arguments: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> str | None:
    """Return what a process writes to its standard output.

    A process that waits inside the driver does not end when it is killed. It is not waited for.

    Args:
        arguments: Program and its arguments.
        timeout_s: Seconds until it is killed.
        environment: Variables of the whole environment of the process; default: that of this one.

    Returns:
        The output, or None if the process could not be started, failed, or took too long.
    """
    try:
        process = subprocess.Popen(
            arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, errors="replace",
        )  # fmt: skip
    except OSError:
        return None
    assert process.stdout is not None
    with process.stdout:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
    return output if process.returncode == 0 else None

"""The process of one step: ends with the run that started it, whatever ends that run, and otherwise is Dagster's own.

`python -m beatsight_dagster.executor.step_worker SOCKET` is the server that steps are forked from. It is started by
`step_processes`, in a session of its own, and ends when the other end of its socket is closed. Each forked process
takes a session of its own, too, waits to be told which step it is, and carries that out.
"""

import ctypes
import os
import signal
import socket
import sys
import threading
import time

from beatsight_core.sockets import restore_temporary_folder
from beatsight_dagster.executor.step_processes import STARTED, receive_order, write_number
from beatsight_dagster.executor.step_server import get_ready, serve

_PR_SET_PDEATHSIG = 1
_WATCH_EVERY_S = 0.5


def main() -> None:
    """Serve the run that started this process; in a forked process, carry out one step."""
    reset_signals()
    get_ready()
    server = os.getpid()
    step = serve(socket.socket(fileno=int(sys.argv[1])))
    if step is not None:
        carry_out(step, server)


def carry_out(channel: socket.socket, server: int) -> None:
    """Carry out a step, in the process that was forked for it.

    Args:
        channel: Socket over which the order comes.
        server: Process id of the server, which ends with the run.
    """
    os.setsid()
    _signal_at_end_of_parent(signal.SIGKILL)  # until there is an order, there is nothing to end in good order
    with channel:
        write_number(channel, STARTED, os.getpid())
        order = receive_order(channel)
    if order is None:
        return
    die_with_parent(server, order.grace_s)
    os.environ.clear()
    os.environ.update(order.environment)
    restore_temporary_folder()
    from dagster._cli.api import api_cli

    try:
        api_cli(args=["execute_step"], prog_name="dagster api")  # its argument comes in an environment variable
    finally:
        if os.getppid() != server:
            _end_session(signal.SIGKILL)  # nobody is left to end this step's own workers


def reset_signals() -> None:
    """Undo ignored signals, which a process started in the background of a script inherits."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def die_with_parent(parent: int, grace_s: float) -> None:
    """End this process and its session when the parent ends: SIGTERM at once, SIGKILL after the grace.

    Args:
        parent: Process id of the parent.
        grace_s: Seconds from the parent's end until the kill.
    """
    _signal_at_end_of_parent(signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the line above
        sys.exit("the run that started this step is gone")
    threading.Thread(target=_watch, args=(parent, grace_s), name="parent-watch", daemon=True).start()


def _signal_at_end_of_parent(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)


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

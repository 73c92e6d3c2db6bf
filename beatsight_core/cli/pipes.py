"""Standard output and standard error as pipes whose reader may leave: `beatsight models | head` is no error.

What nobody reads any more is thrown away, and the verb goes on to its end: its exit code is that of its work.
"""

import io
import os
import stat
import sys
from typing import Any


class _Pipe(io.FileIO):
    """The writing end of a pipe. Without a reader it takes everything and keeps nothing."""

    def write(self, data: Any) -> int:
        """Write, and say that all was written where there is no reader."""
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return memoryview(data).nbytes


def let_readers_leave() -> None:
    """Let both streams of this process take what is written to them, whether or not somebody reads it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this: nobody reads it at all
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper) and _is_pipe(stream):
            stream.flush()
            raw = io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False))
            lines = stream.line_buffering or name == "stderr"
            setattr(sys, name, io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=lines))


def _is_pipe(stream: io.TextIOWrapper) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)

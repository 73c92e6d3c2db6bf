"""Keeping what native decoders write to the terminal away from it.

libmpg123 prints warnings about ordinary files, and asking libsndfile not to is not possible. What a decoder means for a
file is in that file's message instead. Only the C library's own `stderr` is turned away, and only while a decoder is at
work: the file descriptor stays as it is, so nothing that Python writes or logs, from whatever thread, is lost.
"""

import ctypes
import functools
import os
import platform
import sys
import threading

_lock = threading.Lock()
_inside = 0
_aside: int | None = None


def turn_stderr_away() -> None:
    """Turn the C library's `stderr` away, for all threads, until as many calls of `put_stderr_back` as of this one."""
    global _inside, _aside  # noqa: PLW0603 - the variable of the C library is global, too
    stderr = _stderr()
    if stderr is not None:
        with _lock:
            if _inside == 0:
                _aside, stderr.value = stderr.value, _nowhere()
            _inside += 1


def put_stderr_back() -> None:
    """Undo one `turn_stderr_away`."""
    global _inside  # noqa: PLW0603
    stderr = _stderr()
    if stderr is not None:
        with _lock:
            _inside -= 1
            if _inside == 0:
                stderr.value = _aside


@functools.cache
def _stderr() -> ctypes.c_void_p | None:
    """The C library's variable that says where `stderr` leads, where it is known to be one that may be set."""
    name = {"linux": "stderr", "darwin": "__stderrp"}.get(sys.platform)
    if name is None or (sys.platform == "linux" and platform.libc_ver()[0] != "glibc"):
        return None
    try:
        variable = ctypes.c_void_p.in_dll(ctypes.CDLL(None), name)
    except (OSError, ValueError):
        return None
    return variable if variable.value and _nowhere() else None


@functools.cache
def _nowhere() -> int | None:
    """A C stream that leads nowhere; never closed."""
    opened = ctypes.CDLL(None).fopen
    opened.restype, opened.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_char_p)
    stream: int | None = opened(os.devnull.encode(), b"we")
    return stream

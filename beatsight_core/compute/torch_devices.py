"""The devices that torch sees, for machines where the driver's tools tell nothing or not enough.

Torch is asked in a process of its own: a process that has used CUDA once no longer reads `CUDA_VISIBLE_DEVICES`, and
a lease sets that variable. The answer is kept, since asking takes seconds.
"""

import ctypes
import functools
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from beatsight_core.compute.brief_process import output_of
from beatsight_core.compute.gpus import Device

logger = logging.getLogger("beatsight")

TIMEOUT_S = 120.0
"""Importing torch from a slow drive takes up to a minute or two. What takes longer hangs."""

_DECIDING = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")


def ask_torch(environment: Mapping[str, str]) -> tuple[Device, ...]:
    """Return the devices that torch sees under these variables, in its order; none where it cannot tell.

    How full a device is stays unknown: asking that would take memory on it.

    Args:
        environment: Variables that decide which devices CUDA shows. All others are those of this process.
    """
    return _seen(tuple(environment.get(name) for name in _DECIDING))


@functools.cache
def _seen(values: tuple[str | None, ...]) -> tuple[Device, ...]:
    if not could_see_devices():
        return ()
    answer = run_probe(dict(zip(_DECIDING, values, strict=True)))
    try:
        lines = (answer or "").splitlines()
        found = [(said["uuid"], said["name"], said["memory_total"]) for said in json.loads(lines[-1])]
    except (ValueError, KeyError, TypeError, IndexError):
        logger.warning("Torch did not tell which devices it sees (it has %g s for that): taken as none", TIMEOUT_S)
        return ()
    return tuple(Device(uuid, name, total, 0, "", uuid) for uuid, name, total in found)


def could_see_devices() -> bool:
    """Return whether the driver's CUDA library is there and torch is installed. Loading that library starts nothing."""
    try:
        ctypes.CDLL("libcuda.so.1")
        return importlib.util.find_spec("torch") is not None
    except (OSError, ImportError, ValueError):  # no library; torch is withheld, or not whole
        return False


def run_probe(variables: Mapping[str, str | None]) -> str | None:
    """Start the process that asks torch, and return its output.

    Args:
        variables: Variables that it gets instead of those of this process; None for one that it must not have.

    Returns:
        The text that it printed; None if it failed or hung.
    """
    merged = {**os.environ, **variables}
    environment = {name: value for name, value in merged.items() if value is not None}
    # -P: the folder of the script, which is this package, is no place to import from.
    script = [sys.executable, "-P", str(Path(__file__).with_name("torch_probe.py"))]
    return output_of(script, TIMEOUT_S, environment)

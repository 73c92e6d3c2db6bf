"""Leases of the real device: a second process waits, and gets it when the first is killed; each sees no other."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context
from benchmarks.gpu.forks import KILLED, Fork
from benchmarks.gpu.stages.facts import bare, uuids_seen

WAITING, GOT = "waiting", "got"


def leases(context: Context) -> None:
    """Lease the device in one process, let a second one wait for it, kill the first."""
    with tempfile.TemporaryDirectory(dir=context.scratch()) as folder, contextlib.ExitStack() as stack:
        names = _devices(context)
        first = stack.enter_context(Fork(_held, Path(folder), context.device, names))
        got = first.receive(context.left_s)
        second = stack.enter_context(Fork(_held, Path(folder), context.device, names))
        story = second.receive(context.left_s)
        context.check("a second process waits", story[0] == WAITING, value=story[0], limit=WAITING, story=story[1])
        first.kill()
        context.check("the first is killed", first.end(context.left_s) == KILLED, value="killed", limit="killed")
        then = second.receive(context.left_s)
        while then[0] == WAITING:
            then = second.receive(context.left_s)
        context.check("the second gets the device", then[0] == GOT, value=then[0], limit=GOT)
        for name, (_, seen) in (("first", got), ("second", then)):
            _check_seen(context, name, seen)


def _devices(context: Context) -> str | None:
    """What to set as the devices of this machine: nothing on a GPU; on a CPU one that is made up."""
    return None if context.on_cuda else "0"


def _check_seen(context: Context, name: str, seen: dict[str, Any]) -> None:
    """Check that a process sees exactly the device that it holds."""
    context.say("seen", process=name, **seen)
    if context.on_cuda:
        what = f"the {name} process sees the device that it holds, and no other"
        context.check(what, seen["seen"] == [seen["leased"]], value=seen["seen"], limit=[seen["leased"]])


def _held(folder: Path, device: str, names: str | None, tell: Callable[[Any], None]) -> None:
    """Lease one device, look at it as torch does, and hold it until this process is killed."""
    from beatsight_core.compute.waiting import wait_lease

    if names is not None:
        os.environ["BEATSIGHT_DEVICES"] = names
    lease = wait_lease(
        1, {"process": os.getpid()}, poll_s=0.05, waiting=lambda story: tell((WAITING, story)), folder=folder
    )
    os.environ.update(lease.environment)
    visible = os.environ["CUDA_VISIBLE_DEVICES"]
    held = lease.devices[0]
    tell((GOT, {"leased": bare(held.uuid) or held.index, "visible": visible, "seen": _seen(device)}))
    while True:
        os.read(_never(), 1)


def _seen(device: str) -> list[str]:
    """UUIDs of the devices that torch sees, the first of which computes something."""
    if device != "cuda":
        return []
    import torch

    if float(torch.ones(3, device="cuda").sum()) != 3.0:
        raise RuntimeError("the device cannot add")
    return uuids_seen()


def _never() -> int:
    """A descriptor that nothing is ever written to."""
    reading, _ = os.pipe()
    return reading

"""The verb devices: which accelerators there are, who holds them, who waits."""

import time
from collections.abc import Mapping
from typing import Any

import click

from beatsight_core.cli import text
from beatsight_core.cli.verb import Session, verb
from beatsight_core.compute.waiting import who
from beatsight_core.typed_json import JsonObject

_NONE = "No device is known to NVML, nvidia-smi or torch, nor named by BEATSIGHT_DEVICES or CUDA_VISIBLE_DEVICES."
_THEN = "Steps that want one run on the CPU, or fail where the executor's no_device is 'fail'."


@verb
def devices(session: Session) -> int:
    """List the accelerators of this machine, who holds each, and who waits behind whom."""
    from beatsight_core.compute.overview import overview

    session.show(overview().to_json(), _show)
    return 0


def _show(result: dict[str, Any]) -> None:
    if not result["devices"]:
        text.headline(_NONE)
        click.echo(_THEN)
    text.table(
        [_device_row(device, result["at"]) for device in result["devices"]],
        ["device", "name", "memory", "state", "holder", "for", "processes"],
        "Devices",
    )
    text.table(
        [_waiting_row(request, result["at"]) for request in result["waiting"]],
        ["place", "wants", "who", "for", "behind"],
        "Waiting, in the order in which they are served",
    )
    versions = {name: result[name] for name in ("driver", "cuda")}
    text.figures({**versions, "told by": result["source"], "leases": result["folder"]})


def _device_row(device: Mapping[str, Any], now: float) -> JsonObject:
    used, total = device["memory_used"], device["memory_total"]
    return {
        "device": device["index"],
        "name": device["name"],
        "memory": f"{text.size(used)} of {text.size(total)}" if total else None,
        "state": "filled by another program" if device["state"] == "filled" else device["state"],
        "holder": who(device["holder"]) if device["state"] == "leased" else None,
        "for": _since(device["since"], now) if device["state"] == "leased" else None,
        "processes": ", ".join(str(process["pid"]) for process in device["processes"]) or None,
    }


def _waiting_row(request: Mapping[str, Any], now: float) -> JsonObject:
    return {
        "place": request["number"],
        "wants": request["count"],
        "who": who(request["who"]) + (" (stopped: passed over)" if request["stopped"] else ""),
        "for": _since(request["since"], now),
        "behind": "; ".join(request["behind"]) or "nobody",
    }


def _since(moment: float | None, now: float) -> str | None:
    if moment is None:
        return None
    seconds = max(round(now - moment), 0)
    clock = time.strftime("%H:%M:%S", time.localtime(moment))
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} (since {clock})"

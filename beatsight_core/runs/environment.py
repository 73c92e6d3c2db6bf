"""`environment.json`: what a run ran on, so that it can be repeated. No variable of the environment is copied.

The file describes the last sitting; `earlier` lists the sittings before it that ran on something else, so that a run
that was carried on by another machine, driver or revision can be traced.
"""

import datetime
import logging
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import beatsight_core
from beatsight_core.compute.cuda_support import cudnn_version, look_at_torch
from beatsight_core.compute.devices import discover_devices, driver_versions
from beatsight_core.files import read_json, write_json
from beatsight_core.runs import records
from beatsight_core.runs.presets import TrainingConfig

logger = logging.getLogger("beatsight")

PACKAGES = ("beatsight", "torch", "torchaudio", "numpy", "polars", "pyarrow", "soundfile", "soxr", "wandb", "dagster")


_VOLATILE = ("time", "first_sitting", "earlier")


def record_environment(folder: Path, device: str, config: TrainingConfig) -> dict[str, Any]:
    """Write the `environment.json` of a sitting that begins, and keep what it says of earlier ones.

    Args:
        folder: Of the run.
        device: Where the sitting trains.
        config: Of the run.

    Returns:
        What the file now says.
    """
    before, now = read_environment(folder), describe_environment(device, config)
    earlier = before.pop("earlier", [])
    first = before.pop("first_sitting", before.get("time", now["time"]))
    if before and _lasting(before) != _lasting(now):
        earlier = [*earlier, before]
    if refusal := now.get("cudnn_refusal"):
        logger.warning("Torch refuses cuDNN or the GPU, see `beatsight doctor`: %s", refusal)
    described = {**now, "first_sitting": first, "earlier": earlier}
    write_json(folder / records.ENVIRONMENT, described)
    return described


def read_environment(folder: Path) -> dict[str, Any]:
    """What `environment.json` of a run says; empty if there is none."""
    path = folder / records.ENVIRONMENT
    return read_json(path) if path.is_file() else {}


def describe_environment(device: str, config: TrainingConfig) -> dict[str, Any]:
    """Platform, processors, memory, driver, CUDA, cuDNN, packages, the project's revision, device, seeds.

    Args:
        device: Where the run trains.
        config: Of the run.
    """
    import torch

    cudnn, refusal = cudnn_version() if look_at_torch().sees else (None, None)
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "driver": driver_versions(),
        "cuda": torch.version.cuda,
        "cudnn": cudnn,
        **({"cudnn_refusal": refusal} if refusal else {}),
        "devices": [_lasting_device(found.to_json()) for found in discover_devices()],
        "device": device,
        "device_name": torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else platform.processor() or "cpu",
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "revision": project_revision(),
        "seeds": {"training": config.seed},
        "deterministic": bool(getattr(config, "deterministic", False)),
    }


def environment_rows(environment: dict[str, Any]) -> list[dict[str, str]]:
    """An environment as lines to read: `what` and `value`, sittings elsewhere last."""
    if not environment:
        return []
    driver, revision = environment["driver"], environment["revision"] or {}
    devices = [f"{found['name']}, {found['memory_total'] / 2**30:.0f} GiB" for found in environment["devices"]]
    values = {
        "device": f"{environment['device']} ({environment['device_name']})",
        "GPUs": "; ".join(devices) or "none",
        "driver": driver["driver"],
        "CUDA": f"{environment['cuda']} (driver: up to {driver['cuda']})" if environment["cuda"] else None,
        "cuDNN": environment.get("cudnn_refusal") or environment["cudnn"],
        **environment["packages"],
        "python": environment["python"],
        "platform": environment["platform"],
        "host": environment.get("host"),
        "processors": f"{environment['cpus']}, {environment['torch_threads']} threads for torch",
        "memory": f"{environment['memory_bytes'] / 2**30:.1f} GiB",
        "revision": (revision.get("commit") or "")[:12] + (" with changes" if revision.get("modified") else ""),
        "seed": environment["seeds"]["training"],
        "deterministic": "yes" if environment.get("deterministic") else "no",
        "sitting began": environment["time"],
    }
    rows = [{"what": name, "value": "–" if value in (None, "") else str(value)} for name, value in values.items()]
    return rows + [
        {"what": f"earlier, from {other['time']}", "value": _difference(other, environment)}
        for other in environment.get("earlier", [])
    ]


def _lasting(environment: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in environment.items() if name not in _VOLATILE}


def _lasting_device(device: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in device.items() if name != "memory_used"}


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """What `one` had otherwise."""
    different = {name: value for name, value in _lasting(one).items() if other.get(name) != value}
    return "; ".join(f"{name}: {value}" for name, value in different.items())


def project_revision() -> dict[str, Any] | None:
    """The commit that this program was checked out at and whether files differ from it; None without a checkout."""
    folder = Path(beatsight_core.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "modified": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

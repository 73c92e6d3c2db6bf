"""`environment.json`: what a run ran on, so that it can be repeated. No variable of the environment is copied."""

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import beatsight_core
from beatsight_core.compute.devices import discover_devices, driver_versions

PACKAGES = ("beatsight", "torch", "torchaudio", "numpy", "polars", "pyarrow", "soundfile", "soxr", "wandb", "dagster")


def describe_environment(device: str, seed: int) -> dict[str, Any]:
    """Platform, processors, memory, driver, CUDA, cuDNN, packages, the project's revision, device and seed.

    Args:
        device: Where the run trains.
        seed: Of the run.
    """
    import torch

    on_cuda = torch.cuda.is_available()
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "driver": driver_versions(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if on_cuda else None,  # type: ignore[no-untyped-call]
        "devices": [found.to_json() for found in discover_devices()],
        "device": device,
        "device_name": torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else platform.processor() or "cpu",
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "revision": project_revision(),
        "seeds": {"training": seed},
    }


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

"""`environment.json`: machine, packages and revision that a run ran on, so that it can be repeated.

No variable of the environment is copied. The file describes the last attempt; `earlier` lists the attempts before it
that ran on something else, so that a run that was carried on by another machine, driver or revision can be traced.
"""

import datetime
import logging
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TypedDict, cast

import psutil

import beatsight_core
from beatsight_core.compute.cuda_support import cudnn_version, look_at_torch
from beatsight_core.compute.devices import discover_devices, driver_versions
from beatsight_core.files import read_json, write_json
from beatsight_core.runs import records
from beatsight_core.runs.presets import TrainingConfig

logger = logging.getLogger("beatsight")

PACKAGES = ("beatsight", "torch", "torchaudio", "numpy", "polars", "pyarrow", "soundfile", "soxr", "wandb", "dagster")

# "first_sitting" is the name in files that older versions wrote, for the time at which the first attempt began.
_VOLATILE = ("time", "first_sitting", "earlier")


class Revision(TypedDict):
    """A checkout of this program.

    Attributes:
        commit: Commit that was checked out.
        modified: True if files differ from it.
    """

    commit: str
    modified: bool


class Environment(TypedDict, total=False):
    """The machine and packages of an attempt; older files lack some of these.

    Attributes:
        time: Time at which the attempt began.
        first_sitting: Time at which the first attempt of the run began.
        earlier: Environments of earlier attempts that ran on something else.
        host: Name of the machine.
        platform: Name and version of the system.
        machine: Architecture of the processors.
        python: Version of Python.
        cpus: Number of processors.
        torch_threads: Number of threads of torch.
        memory_bytes: Memory of the machine.
        driver: Versions that `driver_versions` gives.
        cuda: Version of CUDA that torch is built for.
        cudnn: Version of cuDNN.
        cudnn_refusal: Message of torch if it refuses cuDNN or the GPU; absent otherwise.
        devices: Accelerators of the machine.
        device: Device that the attempt trained on.
        device_name: Model of that device.
        packages: Versions of packages that a result depends on.
        revision: Checkout of this program; None without one.
        seeds: Seeds by their use.
        deterministic: True if only deterministic kernels were used.
    """

    time: str
    first_sitting: str
    earlier: "list[Environment]"
    host: str
    platform: str
    machine: str
    python: str
    cpus: int | None
    torch_threads: int
    memory_bytes: int
    driver: dict[str, str | None]
    cuda: str | None
    cudnn: int | None
    cudnn_refusal: str
    devices: list[dict[str, str | int]]
    device: str
    device_name: str
    packages: dict[str, str]
    revision: Revision | None
    seeds: dict[str, int]
    deterministic: bool


def record_environment(folder: Path, device: str, config: TrainingConfig) -> Environment:
    """Write the `environment.json` of an attempt that begins, and keep what it says of earlier ones.

    Args:
        folder: Folder of the run.
        device: Device that the attempt trains on.
        config: Configuration of the run.

    Returns:
        The content of the file.
    """
    before, now = read_environment(folder), describe_environment(device, config)
    earlier = before.pop("earlier", [])
    first = before.pop("first_sitting", before.get("time", now["time"]))
    if before and _lasting(before) != _lasting(now):
        earlier = [*earlier, before]
    if refusal := now.get("cudnn_refusal"):
        logger.warning("Torch refuses cuDNN or the GPU, see `beatsight doctor`: %s", refusal)
    described: Environment = {**now, "first_sitting": first, "earlier": earlier}
    write_json(folder / records.ENVIRONMENT, described)
    return described


def read_environment(folder: Path) -> Environment:
    """Return what `environment.json` of a run says; empty if there is none."""
    path = folder / records.ENVIRONMENT
    return cast(Environment, read_json(path)) if path.is_file() else {}


def describe_environment(device: str, config: TrainingConfig) -> Environment:
    """Return platform, processors, memory, driver, CUDA, cuDNN, packages, the project's revision, device and seeds.

    Args:
        device: Device that the run trains on.
        config: Configuration of the run.
    """
    import torch

    cudnn, refusal = cudnn_version() if look_at_torch().sees else (None, None)
    environment: Environment = {
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
        "devices": [_lasting_device(found.to_json()) for found in discover_devices()],
        "device": device,
        "device_name": torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else platform.processor() or "cpu",
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "revision": project_revision(),
        "seeds": {"training": config.seed},
        "deterministic": config.deterministic,
    }
    if refusal:
        environment["cudnn_refusal"] = refusal
    return environment


def environment_rows(environment: Environment) -> list[dict[str, str]]:
    """Return an environment as lines to read: `what` and `value`, attempts elsewhere last."""
    if not environment:
        return []
    driver, revision = environment["driver"], environment["revision"]
    devices = [f"{found['name']}, {int(found['memory_total']) / 2**30:.0f} GiB" for found in environment["devices"]]
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
        "revision": revision and revision["commit"][:12] + (" with changes" if revision["modified"] else ""),
        "seed": environment["seeds"]["training"],
        "deterministic": "yes" if environment.get("deterministic") else "no",
        "attempt began": environment["time"],
    }
    rows = [{"what": name, "value": "–" if value in (None, "") else str(value)} for name, value in values.items()]
    return rows + [
        {"what": f"earlier, from {other['time']}", "value": _difference(other, environment)}
        for other in environment.get("earlier", [])
    ]


def _lasting(environment: Environment) -> Environment:
    return cast(Environment, {name: value for name, value in environment.items() if name not in _VOLATILE})


def _lasting_device(device: dict[str, str | int]) -> dict[str, str | int]:
    return {name: value for name, value in device.items() if name != "memory_used"}


def _difference(one: Environment, other: Environment) -> str:
    """Return what `one` had otherwise."""
    different = {name: value for name, value in _lasting(one).items() if other.get(name) != value}
    return "; ".join(f"{name}: {value}" for name, value in different.items())


def project_revision() -> Revision | None:
    """Return the commit of this program's checkout and whether files differ from it; None without a checkout."""
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

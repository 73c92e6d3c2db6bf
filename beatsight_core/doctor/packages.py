"""What is installed, and whether tracking can reach anybody."""

import importlib.metadata
import netrc
import os
import platform
import urllib.parse
from pathlib import Path

from beatsight_core.doctor.findings import Finding
from beatsight_core.settings import Settings
from beatsight_core.typed_json import JsonObject

_SERVER = "https://api.wandb.ai"

_PACKAGES = {
    "export and check": ("numpy", "polars", "pyarrow", "soundfile", "soxr", "orjson"),
    "train": ("torch", "torchaudio", "safetensors", "onnx", "onnxruntime", "wandb"),
    "platform": ("dagster", "dagster-webserver"),
}


def examine_tracking(settings: Settings, findings: list[Finding]) -> JsonObject:
    """Look whether tracking that is online has somebody logged in.

    Args:
        settings: Layout to look at.
        findings: List that receives what is wrong.

    Returns:
        The section `tracking`.
    """
    tracking = settings.tracking
    if tracking.mode in ("online", "shared") and not _logged_in():
        findings.append(
            Finding(
                "warning", "Tracking is online and nobody is logged in", "Run `wandb login` or set WANDB_MODE=offline"
            )
        )
    return {"mode": tracking.mode, "project": tracking.project, "entity": tracking.entity, "group": tracking.group}


def _logged_in() -> bool:
    """Return whether W&B finds a key: in a variable, or for its server in the file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    server = urllib.parse.urlsplit(os.environ.get("WANDB_BASE_URL") or _SERVER).hostname or ""
    named = os.environ.get("NETRC")
    files = [Path(named)] if named else [Path.home() / name for name in (".netrc", "_netrc")]
    return any(_knows(file, server) for file in files)


def _knows(file: Path, server: str) -> bool:
    try:
        return netrc.netrc(file.expanduser()).authenticators(server) is not None
    except (OSError, ValueError, RuntimeError, netrc.NetrcParseError):
        return False


def examine_packages(findings: list[Finding]) -> JsonObject:
    """Look which packages are installed.

    Args:
        findings: List that receives what is wrong.

    Returns:
        The section `packages`.
    """
    shown: JsonObject = {"python": platform.python_version(), "platform": platform.platform()}
    for purpose, names in _PACKAGES.items():
        for name in names:
            try:
                shown[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                shown[name] = "not installed"
                level = "error" if purpose == "export and check" else "warning"
                findings.append(
                    Finding(level, f"{name} is not installed", f"{purpose} needs it: pip install -e '.[all]'")
                )
    return shown

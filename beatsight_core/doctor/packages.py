"""What is installed, and whether tracking can reach anybody."""

import importlib.metadata
import netrc
import os
import platform
from typing import Any

from beatsight_core.doctor.findings import Finding
from beatsight_core.settings import Settings

_PACKAGES = {
    "export and check": ("numpy", "polars", "pyarrow", "soundfile", "soxr", "orjson"),
    "train": ("torch", "torchaudio", "safetensors", "onnx", "onnxruntime", "wandb"),
    "platform": ("dagster", "dagster-webserver"),
}


def examine_tracking(settings: Settings, findings: list[Finding]) -> dict[str, Any]:
    """Look whether tracking that is online has somebody logged in.

    Args:
        settings: The layout to look at.
        findings: Receives what is wrong.

    Returns:
        The section `tracking`.
    """
    tracking = settings.tracking
    if tracking.mode in ("online", "shared") and not _logged_in():
        findings.append(
            Finding(
                "warning", "Tracking is online and nobody is logged in", "run `wandb login` or set WANDB_MODE=offline"
            )
        )
    return {"mode": tracking.mode, "project": tracking.project, "entity": tracking.entity, "group": tracking.group}


def _logged_in() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False


def examine_packages(findings: list[Finding]) -> dict[str, Any]:
    """Look which packages are installed.

    Args:
        findings: Receives what is wrong.

    Returns:
        The section `packages`.
    """
    shown: dict[str, Any] = {"python": platform.python_version(), "platform": platform.platform()}
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

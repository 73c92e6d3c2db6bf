"""Addresses of reports on the web server of `beatsight dev`, and the files behind them.

    /reports/                             the index of all reports
    /reports/health/<manifest>/report.html
    /reports/datasets/<manifest>.html
    /reports/metrics/<run>/<evaluation>/report.html
    /reports/archive/<day>/<run>/…

Addresses have no host, so that they hold behind a reverse proxy and through a tunnel. Only files of the folders of
reports have one, and of these only kinds that a browser shows without running anything.
"""

import os
from pathlib import Path
from urllib.parse import quote

from beatsight_core.settings import Settings

REPORTS = "/reports/"
"""Address of the index."""

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8", ".json": "application/json", ".jsonl": "text/plain; charset=utf-8",
    ".csv": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8", ".txt": "text/plain; charset=utf-8",
    ".toml": "text/plain; charset=utf-8", ".png": "image/png",
}  # fmt: skip
"""Ending of a file that is served -> its media type."""


def report_folders(settings: Settings) -> dict[str, Path]:
    """Return the folders of reports, by the first part of their addresses."""
    return {
        "health": settings.health_dir,
        "datasets": settings.dataset_pages_dir,
        "metrics": settings.metrics_dir,
        "archive": settings.archive_dir,
    }


def report_address(settings: Settings, path: str | Path) -> str | None:
    """Return the address of a report, without a host; None for a file that is not served.

    Args:
        settings: Settings that say where reports lie.
        path: Path of the report.
    """
    file = Path(path)
    for kind, folder in report_folders(settings).items():
        if file.is_relative_to(folder) and file.suffix in MEDIA_TYPES:
            return f"{REPORTS}{kind}/{quote(os.fsencode(file.relative_to(folder)))}"
    return None


def report_file(settings: Settings, address: str) -> Path | None:
    """Return the file behind an address; None if there is none that is served.

    Args:
        settings: Settings that say where reports lie.
        address: Address after `REPORTS`, with nothing quoted: "health/demo-1a2b3c4d/report.html".
    """
    kind, *parts = address.split("/")
    folder = report_folders(settings).get(kind)
    # A name that begins with a dot is a temporary or a private one, and "..", which leads out of the folder.
    if folder is None or not parts or any(part[:1] in ("", ".") or "\0" in part or "\\" in part for part in parts):
        return None
    try:
        root = folder.resolve(strict=True)
        file = root.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # not there; links in a circle; a name that no file can have
        return None
    served = file.is_relative_to(root) and file.is_file() and file.suffix in MEDIA_TYPES
    return file if served else None

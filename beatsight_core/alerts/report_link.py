"""Where a reader of an alert finds a report: its address in the web UI where that is known, else its path."""

import os
from pathlib import Path
from urllib.parse import quote

from beatsight_core.report_addresses import report_address
from beatsight_core.settings import Settings


def report_link(settings: Settings, path: Path) -> str:
    """Return the address of a report, as `<base_url>/reports/health/<manifest>/report.html`.

    Args:
        settings: Settings that name the folders of reports and `alerts.base_url`.
        path: Path of the report.

    Returns:
        The path itself where no `base_url` is set, or where it lies in none of the folders of reports.
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - a link inside a folder of reports is served under its own name
    base, address = settings.alerts.base_url, report_address(settings, whole)
    return f"{base.rstrip('/')}{address}" if base and address else str(whole)


def run_link(settings: Settings, run_id: str) -> str | None:
    """Return the address of a run of Dagster in the web UI; None where no `base_url` is set."""
    base = settings.alerts.base_url
    return f"{base.rstrip('/')}/runs/{quote(run_id, safe='')}" if base else None
